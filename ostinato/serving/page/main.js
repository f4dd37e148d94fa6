// The page: chooses models, follows the input, and shows one view for each model.

import { getModels, Refused, Unreachable } from "./api.js";
import { confidence, headline } from "./answer.js";
import { comparison } from "./compare.js";
import { fillSelect, visible } from "./elements.js";
import { Input, inputKey } from "./input.js";
import { View } from "./view.js";

const PAUSE_MS = 250; // after the last key, before the service is asked
const find = (id) => document.getElementById(id);

const page = { models: [], views: [], input: null, pause: null };

async function start() {
  page.input = new Input(changed);
  find("model").addEventListener("change", chooseModel);
  find("second").addEventListener("change", chooseSecond);
  find("retry").addEventListener("click", retry);
  await load();
}

async function load() {
  try {
    page.models = await getModels();
  } catch (error) {
    if (error instanceof Unreachable) return lost();
    if (error instanceof Refused) return refuse(error.message);
    throw error;
  }
  if (!page.models.length) return refuse("The service has no models.");
  fillSelect(
    find("model"),
    page.models.map((model) => model.name),
  );
  find("model").disabled = false;
  chooseModel();
}

function modelNamed(name) {
  return page.models.find((model) => model.name === name);
}

function chooseModel() {
  const model = modelNamed(find("model").value);
  const others = page.models.filter((other) => other !== model && inputKey(other) === inputKey(model));
  fillSelect(find("second"), [["", "–"], ...others.map((other) => other.name)]);
  find("second").disabled = others.length === 0;
  page.input.prepare(model);
  showModels();
}

function chooseSecond() {
  showModels();
}

/** One view for each chosen model; a view that stays keeps its options. */
function showModels() {
  const chosen = [find("model").value, find("second").value].filter(Boolean).map(modelNamed);
  page.views.filter((view) => !chosen.includes(view.model)).forEach((view) => view.stop());
  page.views = chosen.map(
    (model) =>
      page.views.find((view) => view.model === model) ??
      new View(model, { onAnswer: answered, onLost: lost, onStep: stepTogether }),
  );
  find("views").replaceChildren(...page.views.map((view) => view.element));
  find("views").classList.toggle("two", chosen.length === 2);
  ask();
}

function changed() {
  clearTimeout(page.pause);
  page.views.forEach((view) => view.expect());
  page.pause = setTimeout(ask, PAUSE_MS);
}

function ask() {
  clearTimeout(page.pause);
  find("refused").hidden = true;
  if (page.input.isEmpty()) return page.views.forEach((view) => view.clear());
  let input;
  try {
    input = page.input.value();
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    page.views.forEach((view) => view.clear());
    return refuse(`The input is not JSON: ${error.message}`);
  }
  page.views.forEach((view) => view.show(input));
}

/** Says the answers, and compares them if there are two. */
function answered() {
  find("lost").hidden = true;
  const [one, other] = page.views;
  const sentence = other ? comparison(one, other) : null;
  find("comparison").hidden = sentence === null;
  find("comparison").textContent = sentence ?? "";
  const answers = page.views.filter((view) => view.answer);
  find("said").textContent =
    sentence ??
    answers
      .map((view) =>
        [visible(view.model.name), headline(view.answer), confidence(view.answer)].filter(Boolean).join(", "),
      )
      .join("; ");
}

/** The other model follows to the same step if it reads as many tokens. */
function stepTogether(moved, step, length) {
  for (const view of page.views) {
    if (view !== moved && view.recurrence.trace?.tokens.length === length) view.recurrence.goTo(step);
  }
}

function refuse(message) {
  find("refused").textContent = visible(message);
  find("refused").hidden = false;
}

function lost() {
  find("lost").hidden = false;
}

function retry() {
  find("lost").hidden = true;
  if (page.models.length) ask();
  else load();
}

start();
