// A job from submit to ack with Node's own fetch, which keeps connections as long as the server says it will.
const [url, name, idleMs] = process.argv.slice(2);

async function post(path, body) {
  const response = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(JSON.stringify(answer));
  return answer.data;
}

await post("/v1/jobs/run", { thread_id: name, workflow: name, input: { pages: 3 } });
const polled = await post("/v1/workers/poll", { worker_id: name, workflows: [name] });
const held = { attempt_id: polled.attempt_id, lease_id: polled.lease_id };
await post(`/v1/workers/${name}/report-step`, {
  ...held, action_id: "read", status: "succeeded", dedupe_token: "1", output: polled.attempts[0].input,
});
await new Promise((done) => setTimeout(done, Number(idleMs)));
await post(`/v1/workers/${name}/heartbeat`, { lease_id: polled.lease_id });
const acked = await post(`/v1/workers/${name}/ack`, { ...held, terminal_status: "completed", result: { total: 42 } });

// The events of the run, as a stream that is read to its end.
const events = await fetch(`${url}/v1/jobs/${name}/events`);
let text = "";
for await (const part of events.body.pipeThrough(new TextDecoderStream())) text += part;
console.log(JSON.stringify({ status: acked.status, events: text.match(/^event: (.*)$/gm).length }));
