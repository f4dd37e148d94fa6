// The results of one model: it asks the service, and shows what comes back. The newest input wins.

import { explain, predict, Refused, trace, Unreachable } from "./api.js";
import { answerParts } from "./answer.js";
import { Contributions } from "./contributions.js";
import { count, make, visible } from "./elements.js";
import { beginning, MOST_TOKENS } from "./long.js";
import { Recurrence } from "./recurrence.js";

const CUT_NOTE =
  `The sequence is long: contributions and steps are for its first ${count(MOST_TOKENS, "token")} ` +
  "as if nothing followed. The answer is for all of it.";

export class View {
  /**
   * @param {object} model
   * @param {{onAnswer: () => void, onLost: () => void, onStep: (view: View, step: number, length: number) => void}}
   *   events
   */
  constructor(model, events) {
    this.model = model;
    this.events = events;
    this.answer = null;
    this.running = new Map(); // by kind of request, what aborts it
    this.isExpecting = false;
    this.answered = make("div", { class: "answer" }, make("p", { class: "hint" }, "Waiting for the answer…"));
    this.cut = make("p", { class: "hint", hidden: true }, CUT_NOTE);
    this.contributions = new Contributions(model, () => this.explain());
    this.recurrence = new Recurrence(
      model,
      () => this.trace(),
      (step, length) => events.onStep(this, step, length),
    );
    this.recurrence.element.hidden = model.traces === false;
    this.element = make(
      "article",
      { class: "view", "aria-label": `Results of ${visible(model.name)}` },
      make("h2", {}, visible(model.name)),
      make("p", { class: "hint" }, facts(model)),
      make("section", {}, make("h3", {}, "Answer"), this.answered, this.cut),
      this.contributions.element,
      this.recurrence.element,
    );
  }

  /** Asks for everything about an input, and drops what is still under way for an older one. */
  async show(input) {
    this.stop();
    this.input = input;
    this.start = beginning(this.model, input);
    this.cut.hidden = this.start === input;
    await this.ask("predicting", async (signal) => {
      this.answer = await predict(this.model.name, input, signal);
      this.answered.replaceChildren(...answerParts(this.model, this.answer));
      if (this.answer.predictions) this.contributions.offer(Object.keys(this.answer.predictions));
      this.events.onAnswer();
      await this.explain();
      if (this.model.traces !== false) await this.trace();
    });
  }

  async explain() {
    const input = this.start;
    if (input === undefined) return;
    await this.ask("explaining", async (signal) => {
      this.contributions.show(input, await explain(this.model.name, input, this.contributions.options(), signal));
    });
  }

  async trace() {
    if (this.start === undefined) return;
    await this.ask("tracing", async (signal) => {
      this.recurrence.show(await trace(this.model.name, this.start, this.recurrence.options(), signal));
    });
  }

  /** Marks the results as those of an older input. */
  expect() {
    this.isExpecting = true;
    this.showBusy();
  }

  /** Shows that there is no input. */
  clear() {
    this.stop();
    this.start = undefined;
    this.refuse("The input is empty.");
    this.showBusy();
  }

  stop() {
    this.isExpecting = false;
    for (const running of this.running.values()) running.abort();
    this.recurrence.stop();
  }

  showBusy() {
    this.element.setAttribute("aria-busy", String(this.isExpecting || this.running.size > 0));
  }

  refuse(message) {
    this.answer = null;
    this.answered.replaceChildren(make("p", { class: "hint" }, message));
    this.contributions.clear();
    this.recurrence.clear();
    this.events.onAnswer();
  }

  /** Runs a request in place of an older one of its kind, and shows its failure where its result would be. */
  async ask(kind, request) {
    this.running.get(kind)?.abort();
    const running = new AbortController();
    this.running.set(kind, running);
    this.showBusy();
    try {
      await request(running.signal);
    } catch (error) {
      if (error.name !== "AbortError") this.fail(kind, error);
    } finally {
      if (this.running.get(kind) === running) this.running.delete(kind);
      this.showBusy();
    }
  }

  fail(kind, error) {
    const isLost = error instanceof Unreachable;
    if (!isLost && !(error instanceof Refused)) throw error;
    const message = isLost ? "The server did not answer." : visible(error.message);
    if (kind === "predicting") this.refuse(message);
    else (kind === "explaining" ? this.contributions : this.recurrence).fail(message);
    if (isLost) this.events.onLost();
  }
}

function facts(model) {
  const size = count(model.parameters, "parameter");
  if (model.members) return `${model.task}, ensemble of ${count(model.members, "model")}, ${size}`;
  if (model.cell === "none") return `${model.task}, linear model, ${size}`;
  const cell = `${model.bidirectional ? "bidirectional " : ""}${model.cell.toUpperCase()}`;
  const layers = `${count(model.num_layers, "layer")} of ${count(model.hidden_size, "unit")}`;
  return `${model.task}, ${cell}, ${layers}, ${size}`;
}
