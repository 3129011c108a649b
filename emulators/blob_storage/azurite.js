"use strict";
// Runs the unmodified Azurite package as the storage service of one estate:
// - one TLS port for blobs and queues of all accounts, told apart by the host name, as in Azure;
// - a second one for queues alone, for clients that name the account in the path and the host localhost;
// - accounts are told on standard input (one line, "name:key1:key2;..." each time) and known at once;
// - its time is the estate's: a request that carries the estate's secret says what time it is there;
// - it ends with its parent: when standard input ends, so does this process.
// First line of standard input: settings as JSON. Standard output: one JSON object a line.

const { createRequire } = require("node:module");
const crypto = require("node:crypto");
const fs = require("node:fs");
const https = require("node:https");
const net = require("node:net");
const path = require("node:path");
const readline = require("node:readline");

const KEEP_ALIVE_SECONDS = 3600;
const STOP_PATIENCE = 8000; // milliseconds
const CLOCK_HEADER = "x-drillbed-clock";
const QUEUE_HOST = /^[^.]+\.queue\./;
const NOT_ALLOWED = new Set(["EACCES", "EPERM", "EADDRNOTAVAIL"]);

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

// Date of this process = system time + what the estate is ahead (or behind, before the first request).
function installClock() {
  const SystemDate = Date;
  let offset;
  globalThis.Date = new Proxy(SystemDate, {
    construct: (target, given, as) =>
      Reflect.construct(target, given.length ? given : [SystemDate.now() + (offset ?? 0)], as),
    apply: () => new Date().toString(),
    get: (target, name) => (name === "now" ? () => SystemDate.now() + (offset ?? 0) : Reflect.get(target, name)),
  });
  return (milliseconds) => {
    const wanted = milliseconds - SystemDate.now();
    offset = offset === undefined ? wanted : Math.max(offset, wanted); // time never goes back
  };
}

function sameSecret(given, secret) {
  const [left, right] = [Buffer.from(given), Buffer.from(secret)];
  return left.length === right.length && crypto.timingSafeEqual(left, right);
}

// Take the estate's time from a request and the header away from it.
function readClock(request, secret, setClock) {
  const given = request.headers[CLOCK_HEADER];
  if (given === undefined) return;
  delete request.headers[CLOCK_HEADER];
  const [milliseconds, proof] = String(given).split(" ");
  if (proof && sameSecret(proof, secret) && Number.isFinite(Number(milliseconds))) setClock(Number(milliseconds));
}

// The documented address and port, or a free port where the system does not allow it.
async function freePlace(address, port) {
  for (const [host, number] of [[address, port], [address, 0], ["127.0.0.1", 0]]) {
    const probe = net.createServer();
    try {
      await new Promise((resolve, reject) => probe.once("error", reject).listen(number, host, resolve));
      const place = probe.address();
      await new Promise((resolve) => probe.close(resolve));
      return [place.address, place.port];
    } catch (error) {
      if (!NOT_ALLOWED.has(error.code)) throw error;
    }
  }
  throw new Error(`no port can be opened on ${address} or 127.0.0.1`);
}

function stores(name, folder, constants) {
  const prefix = name.toUpperCase();
  const paths = constants[`DEFAULT_${prefix}_PERSISTENCE_ARRAY`].map((entry) => ({
    ...entry,
    locationPath: path.join(folder, `${name}-data`),
  }));
  return [path.join(folder, `${name}.json`), path.join(folder, `${name}-extents.json`), paths];
}

// Positional parameters as Azurite's configurations declare them: host, port, keep-alive, stores, access log (off), its stream, debug
// log (off), its file, loose, skipApiVersionCheck, certificate, key, password, oauth, disableProductStyleUrl, memory only.
function configure(source, name, settings, [host, port]) {
  const Configuration = source(`${name}/${name === "blob" ? "Blob" : "Queue"}Configuration`).default;
  const kept = stores(name, settings.folder, source(`${name}/utils/constants`));
  return new Configuration(host, port, KEEP_ALIVE_SECONDS, ...kept, false, undefined, false, undefined, true, true,
    settings.certificate, settings.key, "", undefined, false, false);
}

// A copy from another account of this service: Azurite compares host names, which differ here by account, and resolves them by DNS.
// Ask ourselves instead whether the source may be read with what its URL carries (a SAS).
function allowCopies(source, settings, place) {
  const Handler = source("blob/handlers/BlobHandler").default;
  const errors = source("blob/errors/StorageErrorFactory").default;
  const authority = fs.readFileSync(settings.authority);
  Handler.prototype.validateCopySource = async function (copySource, sourceAccount, context) {
    const url = new URL(copySource);
    url.searchParams.set("comp", "metadata");
    const status = await new Promise((resolve, reject) => {
      const options = {
        host: place[0], port: place[1], servername: url.hostname, ca: authority, agent: false,
        path: url.pathname + url.search, headers: { Host: url.host },
      };
      https.get(options, (answer) => { answer.resume(); resolve(answer.statusCode); }).once("error", reject);
    });
    if (status !== 200) {
      throw errors.getCannotVerifyCopySource(context.contextId, status, `The source of ${sourceAccount} cannot be read.`);
    }
  };
}

// A copied page blob shares its list of ranges with its source in Azurite: writing to a promoted disk would change the recovery point
// that it came from. Give each copy a list of its own.
function separateCopies(source) {
  const Store = source("blob/persistence/LokiBlobMetadataStore").default;
  for (const name of ["startCopyFromURL", "copyFromURL"]) {
    const original = Store.prototype[name];
    Store.prototype[name] = async function (context, from, to, ...rest) {
      const answer = await original.call(this, context, from, to, ...rest);
      const where = { accountName: to.account, containerName: to.container, name: to.blob, snapshot: "" };
      const made = this.db.getCollection(this.BLOBS_COLLECTION).findOne(where);
      if (made?.pageRangesInOrder) made.pageRangesInOrder = made.pageRangesInOrder.slice();
      return answer;
    };
  }
}

async function start(settings) {
  const setClock = installClock();
  const load = createRequire(path.join(settings.package, "package.json"));
  const source = (name) => load(`azurite/dist/src/${name}`);
  source("common/Logger").configLogger(false);
  process.env.AZURITE_ACCOUNTS = settings.accounts;

  const place = await freePlace(settings.address, settings.port);
  const blob = new (source("blob/BlobServer").default)(configure(source, "blob", settings, place));
  const queue = new (source("queue/QueueServer").default)(configure(source, "queue", settings, place));
  allowCopies(source, settings, place);
  separateCopies(source);

  const [toBlob] = blob.httpServer.listeners("request");
  const [toQueue] = queue.httpServer.listeners("request");
  const serve = (server, choose) => {
    server.removeAllListeners("request");
    server.on("request", (request, response) => {
      readClock(request, settings.secret, setClock);
      choose(request)(request, response);
    });
    server.on("connection", (socket) => socket.setNoDelay(true));
  };
  serve(blob.httpServer, (request) => (QUEUE_HOST.test(request.headers.host ?? "") ? toQueue : toBlob));
  serve(queue.httpServer, () => toQueue);
  await queue.beforeStart();
  await new Promise((resolve, reject) => queue.httpServer.once("error", reject).listen(0, place[0], resolve));
  await blob.start();
  const queues = queue.httpServer.address().port;
  say({ ready: true, address: place[0], port: place[1], queues, pid: process.pid });
  return { blob, queue };
}

function setAccounts({ blob, queue }, line) {
  process.env.AZURITE_ACCOUNTS = line;
  blob.accountDataStore.refresh();
  queue.accountDataStore.refresh();
  say({ accounts: line.split(";").length });
}

async function stop({ blob, queue }) {
  queue.httpServer.close();
  for (const server of [blob, queue]) server.httpServer.closeAllConnections?.();
  await blob.close();
  await queue.afterClose();
  process.exit(0);
}

async function main() {
  const lines = readline.createInterface({ input: process.stdin });
  let servers;
  let stopping = false;
  const end = () => {
    if (stopping) return;
    stopping = true;
    if (servers === undefined) process.exit(0);
    setTimeout(() => process.exit(1), STOP_PATIENCE).unref(); // whatever holds it: its parent may be gone
    stop(servers).catch((error) => { console.error(error); process.exit(1); });
  };
  process.on("SIGTERM", end);
  lines.on("close", end);
  const settings = await new Promise((resolve) => lines.once("line", (line) => resolve(JSON.parse(line))));
  const early = [];
  const keep = (line) => early.push(line);
  lines.on("line", keep);
  servers = await start(settings);
  lines.off("line", keep);
  early.forEach((line) => setAccounts(servers, line));
  lines.on("line", (line) => setAccounts(servers, line));
}

main().catch((error) => {
  say({ error: error.message, code: error.code ?? "" });
  process.exit(1);
});
