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
    this.answered = make("div", { class: "answer" }, make("p", { class: "hint" }, "Waiting for the answer…"));
    this.cut = make("p", { class: "hint", hidden: true }, CUT_NOTE);
    this.contributions = new Contributions(model, () => this.again("explaining", (signal) => this.explain(signal)));
    this.recurrence = new Recurrence(
      model,
      () => this.again("tracing", (signal) => this.trace(signal)),
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
    const running = new AbortController();
    this.running = running;
    this.element.setAttribute("aria-busy", "true");
    await this.attempt(
      async () => {
        this.answer = await predict(this.model.name, input, running.signal);
        this.answered.replaceChildren(...answerParts(this.model, this.answer));
        this.events.onAnswer();
        await this.explain(running.signal);
        if (this.model.traces !== false) await this.trace(running.signal);
      },
      (message) => this.refuse(message),
    );
    if (this.running === running) this.element.removeAttribute("aria-busy");
  }

  async explain(signal) {
    await this.attempt(
      async () => {
        const input = this.start;
        this.contributions.show(input, await explain(this.model.name, input, this.contributions.options(), signal));
      },
      (message) => this.contributions.fail(message),
    );
  }

  async trace(signal) {
    await this.attempt(
      async () => {
        this.recurrence.show(await trace(this.model.name, this.start, this.recurrence.options(), signal));
      },
      (message) => this.recurrence.fail(message),
    );
  }

  /** Asks for one part again because an option changed. */
  async again(part, ask) {
    this[part]?.abort();
    this[part] = new AbortController();
    if (this.input !== undefined) await ask(this[part].signal);
  }

  /** Shows that there is no input. */
  clear() {
    this.stop();
    this.input = undefined;
    this.refuse("The input is empty.");
  }

  stop() {
    for (const part of ["running", "explaining", "tracing"]) this[part]?.abort();
    this.recurrence.stop();
  }

  refuse(message) {
    this.answer = null;
    this.answered.replaceChildren(make("p", { class: "hint" }, message));
    this.contributions.clear();
    this.recurrence.clear();
    this.events.onAnswer();
  }

  /** Runs requests: a newer one is no failure, a refusal is shown in its place, and a lost server on the page. */
  async attempt(ask, refuse) {
    try {
      await ask();
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error instanceof Unreachable) this.events.onLost();
      else if (error instanceof Refused) refuse(visible(error.message));
      else throw error;
    }
  }
}

function facts(model) {
  const cell = `${model.bidirectional ? "bidirectional " : ""}${model.cell.toUpperCase()}`;
  const layers = `${count(model.num_layers, "layer")} of ${count(model.hidden_size, "unit")}`;
  return `${model.task}, ${cell}, ${layers}, ${count(model.parameters, "parameter")}`;
}
