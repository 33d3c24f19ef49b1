// What a server with a token adds: a form that asks for it, and files that a plain link could not fetch.
import { Notice, html, useState } from "../dom.js";
import { ask, forgetToken, hasToken, keepToken } from "../api.js";

export function TokenForm() {
  const [token, setToken] = useState("");
  const wasWrong = hasToken();
  const enter = (event) => {
    event.preventDefault();
    keepToken(token.trim());
    location.reload();
  };
  return html`
    ${wasWrong && html`<${Notice} kind="bad" title="That is not the token">The server does not take it.<//>`}
    <form class="panel" onSubmit=${enter}>
      <p class="soft">This server shows its model to those who have its token, which whoever started it has
        (<code>SERVICE_TOKEN</code>). It is kept until this tab is closed, and sent to this server alone.</p>
      <label class="field"><span>Token</span>
        <input type="password" name="token" autocomplete="off" required value=${token} onInput=${(event) => setToken(event.currentTarget.value)} /></label>
      <div class="actions"><button type="submit" class="button primary">Open the console</button></div>
    </form>`;
}

const FILES = [
  { path: "model", name: "model.json", title: "Model card as JSON" },
  { path: "openapi.json", name: "openapi.json", title: "OpenAPI" },
];

/** The links of the page's foot. With a token the files are fetched, since a link carries none. */
export function FootLinks() {
  if (!hasToken()) return html`<a href="docs">API</a>${FILES.map(({ path, title }) => html`<a href=${path}>${title}</a>`)}`;
  return html`
    ${FILES.map((file) => html`<button type="button" class="link" onClick=${() => download(file)}>${file.title}</button>`)}
    <button type="button" class="link" onClick=${() => { forgetToken(); location.reload(); }}>Forget the token</button>`;
}

async function download({ path, name }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await (await ask(path)).blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
