// A miniature product as a driver in JavaScript: JSON lines on standard input and output, nothing but the language itself.
// `node toy.mjs [what it does wrong]`. The protocol is in docs/remote-drivers.md.
import { createInterface } from "node:readline";

const wrong = new Set(process.argv.slice(2));
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => { const { value, done } = await lines.next(); return done ? null : JSON.parse(value); };
const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

// Asks the world around the product; only while a method is open.
async function call(name, args = {}) {
  say({ call: name, arguments: args });
  const answer = await read();
  if ("failed" in answer) throw Object.assign(new Error(answer.message), { kind: answer.failed });
  return answer.return;
}

const accepted = { answer: "accepted" };
const refused = (reason, message = "") => ({ answer: "refused", reason, message });
const sessions = new Map();
const OPERATIONS = { protected: ["failover"], "failed-over": ["commit", "change-recovery-point"], committed: ["reprotect"] };

// A product without a machine of its own: its copy takes five emulated minutes, a point comes every five.
const METHODS = {
  describe: () => ({
    name: "toy.mjs", version: "1", claims: ["core", "plans"], capabilities: ["recovery-plans"], world: "python:toy:Worlds",
  }),
  open: (session, { setup }) => { sessions.set(session.id, { ...session, setup, machines: new Map(), plans: new Map(), events: [] }); return null; },
  close: (session) => { sessions.delete(session.id); return null; },
  prepare: () => accepted,
  async protect({ machines }, { vm }) {
    if (machines.has(vm)) return refused("already-protected");
    machines.set(vm, { state: "copying", since: await call("now") });
    return accepted;
  },
  async failover({ machines, events }, { vm, to, kind }) {
    if (kind === "planned" && !wrong.has("planned-allowed")) return refused("failover-kind-unsupported", "only unplanned");
    return move(machines, events, vm, to);
  },
  change_recovery_point: ({ machines }, { vm }) => from(machines, vm, "failed-over", "failed-over", "already-committed"),
  commit({ machines }, { vm }) {
    const answer = from(machines, vm, "failed-over", "committed");
    if (answer === accepted && !wrong.has("commit-keeps-points")) machines.get(vm).committed = true;
    return answer;
  },
  create_plan: ({ plans }, { name, groups }) => { plans.set(name, groups); return accepted; },
  async run_plan({ machines, plans, events }, { name, to }) {
    for (const group of plans.get(name)) {
      const at = await call("now");
      for (const vm of group) events.push({ time: at, kind: "starting", vm, side: to });
      await call("wait", { seconds: 60 });
      for (const vm of group) { machines.get(vm).state = "failed-over"; events.push({ time: at + 60, kind: "started", vm, side: to }); }
    }
    return accepted;
  },
  async machine({ machines }, { vm }) {
    const item = machines.get(vm);
    if (!item) return { name: vm, state: "unprotected" };
    const now = await call("now");
    if (item.state === "copying" && now >= item.since + 300) item.state = "protected";
    const count = item.committed || item.state === "copying" ? 0 : Math.floor((now - item.since) / 300);
    const points = Array.from({ length: count }, (_, n) => ({ id: `${vm}-${n}`, time: item.since + 300 * (n + 1) }));
    return { name: vm, state: item.state, points, operations: OPERATIONS[item.state] ?? [] };
  },
  events: ({ events }) => events,
  mark: () => null,
};

function from(machines, vm, state, next, reason = "operation-not-allowed") {
  if (machines.get(vm)?.state !== state) return refused(reason);
  machines.get(vm).state = next;
  return accepted;
}

async function move(machines, events, vm, to) {
  await METHODS.machine({ machines }, { vm });
  const answer = from(machines, vm, "protected", "failed-over");
  if (answer === accepted) events.push({ time: await call("now"), kind: "started", vm, side: to });
  return answer;
}

for (let message = await read(); message !== null; message = await read()) {
  const { id, method, session, arguments: args } = message;
  try {
    const run = METHODS[method];
    const state = sessions.get(session) ?? { id: session };
    say({ id, result: run ? await run(state, args) : { answer: "unsupported", what: method } });
  } catch (problem) {
    say({ id, failed: problem.kind ?? "broken", message: String(problem.message) });
  }
}
