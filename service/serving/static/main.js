// Start: load the model's card, show the view that the address names.
import { Loading, Notice, html, render, useEffect, useMemo, useRef, useState } from "./dom.js";
import { useAnswer } from "./api.js";
import { moment } from "./format.js";
import { Segmentation } from "./segmentation.js";
import { Conformance } from "./views/conformance.js";
import { Live } from "./views/live.js";
import { Score } from "./views/score.js";
import { Segments } from "./views/segments.js";
import { FootLinks, TokenForm } from "./views/token.js";
import { Try } from "./views/try.js";
import { Versions } from "./views/versions.js";

const VIEWS = [
  { name: "segments", title: "Segments", view: Segments },
  { name: "try", title: "Try it", view: Try },
  { name: "score", title: "Score a file", view: Score },
  { name: "versions", title: "Versions", view: Versions },
  { name: "live", title: "Live", view: Live },
  { name: "conformance", title: "Conformance", view: Conformance },
];

function useRoute() {
  const read = () => location.hash.replace(/^#\/?/, "") || "segments";
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const follow = () => setRoute(read());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return VIEWS.find((view) => view.name === route) ?? null;
}

function Header({ current, model }) {
  return html`<header class="top">
    <div class="bar">
      <a class="brand" href="#/segments"><img src="console/static/icon.svg" alt="" width="26" height="26" />segserve</a>
      ${model && html`<p class="serving" title="The model that this server answers with">
        <span class="dot" aria-hidden="true"></span>serving <code>${model.version}</code>
        <span class="wide"> · made ${moment(model.card.created)}</span></p>`}
    </div>
    <nav aria-label="Console"><ul>
      ${VIEWS.map((view) => html`<li><a href=${`#/${view.name}`}
        aria-current=${view === current ? "page" : null}>${view.title}</a></li>`)}
    </ul></nav>
  </header>`;
}

function App() {
  const current = useRoute();
  const { value: card, error } = useAnswer("console/model");
  const model = useMemo(() => card && new Segmentation(card), [card]);
  const heading = useRef(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = `${current?.title ?? "No such page"} · segserve`;
    // After a change of view, reading goes on at its heading.
    if (!first.current) heading.current?.focus({ preventScroll: true });
    if (!first.current) scrollTo(0, 0);
    first.current = false;
    document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [current]);
  const View = current?.view;
  return html`
    <a class="skip-link" href="#main" onClick=${(event) => { event.preventDefault(); heading.current?.focus(); }}>Skip to the content</a>
    <${Header} current=${current} model=${model} />
    <main id="main">
      <h1 tabindex="-1" ref=${heading}>${current?.title ?? "No such page"}</h1>
      ${!current && html`<${Notice}>There is nothing at this address. <a href="#/segments">See the segments</a>.<//>`}
      ${current && error?.status === 401 && html`<${TokenForm} />`}
      ${current && error && error.status !== 401 && html`<${Notice} kind="bad" title="The model cannot be shown">
        ${error.message}. <button type="button" class="link" onClick=${() => location.reload()}>Try again</button><//>`}
      ${current && !error && !model && html`<${Loading} what="the model" />`}
      ${current && model && html`<${View} key=${current.name} model=${model} server=${card.server} />`}
    </main>
    <footer class="foot">
      <${FootLinks} />
    </footer>`;
}

render(html`<${App} />`, document.getElementById("app"));
