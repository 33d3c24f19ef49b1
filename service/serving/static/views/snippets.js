// The exact code for a call: for this server, and for an endpoint on AWS.
import { html, useRef, useState } from "../dom.js";

const TYPE = "application/json";
const ACCEPT = "application/json; detail=full";
const ENDPOINT = "segserve";

/** Return the code for sending a payload. */
export const CODE = {
  laptop: {
    curl: ({ payload, origin }) => `curl -H 'Content-Type: ${TYPE}' \\
  -H 'Accept: ${ACCEPT}' \\
  -d '${payload}' \\
  ${origin}/invocations`,
    boto3: ({ payload, origin }) => `import boto3

# The same server answers AWS's runtime API; the keys are not looked at.
runtime = boto3.client(
    "sagemaker-runtime",
    endpoint_url="${origin}",
    region_name="eu-central-1",
    aws_access_key_id="local",
    aws_secret_access_key="local",
)
answer = runtime.invoke_endpoint(
    EndpointName="${ENDPOINT}",
    ContentType="${TYPE}",
    Accept="${ACCEPT}",
    Body=b'${payload}',
)
print(answer["Body"].read().decode())`,
    Python: ({ payload, origin }) => `from urllib.request import Request, urlopen

request = Request(
    "${origin}/invocations",
    data=b'${payload}',
    headers={"Content-Type": "${TYPE}", "Accept": "${ACCEPT}"},
)
with urlopen(request) as answer:
    print(answer.read().decode())`,
  },
  AWS: {
    curl: ({ payload }) => `# AWS_REGION and credentials in the environment
curl --aws-sigv4 "aws:amz:$AWS_REGION:sagemaker" \\
  --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \\
  -H "X-Amz-Security-Token: $AWS_SESSION_TOKEN" \\
  -H 'Content-Type: ${TYPE}' \\
  -H 'Accept: ${ACCEPT}' \\
  -d '${payload}' \\
  "https://runtime.sagemaker.$AWS_REGION.amazonaws.com/endpoints/${ENDPOINT}/invocations"`,
    boto3: ({ payload }) => `import boto3

runtime = boto3.client("sagemaker-runtime")
answer = runtime.invoke_endpoint(
    EndpointName="${ENDPOINT}",
    ContentType="${TYPE}",
    Accept="${ACCEPT}",
    Body=b'${payload}',
)
print(answer["Body"].read().decode())`,
    Python: ({ payload }) => `# The SageMaker Python SDK, version 3
from sagemaker.core.resources import Endpoint

endpoint = Endpoint.get("${ENDPOINT}")
answer = endpoint.invoke(
    body=b'${payload}',
    content_type="${TYPE}",
    accept="${ACCEPT}",
)
print(answer.body.read().decode())`,
  },
};

/** Put text on the clipboard, also where the page is served without TLS and browsers hide the newer way. */
async function copy(text, source) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  getSelection().selectAllChildren(source);
  if (!document.execCommand("copy")) throw new Error("the browser refused");
  return undefined;
}

export function Snippets({ payload }) {
  const [place, setPlace] = useState("laptop");
  const [client, setClient] = useState("curl");
  const [said, setSaid] = useState("");
  const source = useRef(null);
  const origin = location.href.split("#")[0].replace(/\/$/, "");
  const code = payload && CODE[place][client]({ payload, origin });
  const choose = (set) => (value) => {
    set(value);
    setSaid("");
  };
  const take = () => copy(code, source.current).then(
    () => setSaid("Copied"),
    () => setSaid("Not copied: select the code and copy it yourself"),
  );
  return html`<section class="panel" aria-labelledby="code-title">
    <div class="panel-head"><h2 id="code-title">The code for this call</h2>
      <div class="choices">
        <${Choice} label="Where" value=${place} onChange=${choose(setPlace)} options=${{ laptop: "This server", AWS: "AWS" }} />
        <${Choice} label="With" value=${client} onChange=${choose(setClient)} options=${{ curl: "curl", boto3: "boto3", Python: "Python" }} />
      </div></div>
    ${place === "AWS" && html`<p class="soft">For an endpoint named <code>${ENDPOINT}</code>; put your own name in its place.</p>`}
    ${code
      ? html`<div class="code"><pre tabindex="0" aria-label=${`${client} for ${place === "AWS" ? "AWS" : "this server"}`}><code ref=${source}>${code}</code></pre>
        <div class="code-foot"><button type="button" class="button" onClick=${take}>Copy</button><span role="status">${said}</span></div></div>`
      : html`<p class="soft">The code appears when the record is complete.</p>`}
  </section>`;
}

export function Choice({ label, value, onChange, options }) {
  return html`<div class="choice" role="group" aria-label=${label}>${Object.entries(options).map(([name, title]) => html`<button
    key=${name} type="button" aria-pressed=${value === name} onClick=${() => onChange(name)}>${title}</button>`)}</div>`;
}
