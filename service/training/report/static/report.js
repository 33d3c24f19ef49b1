// Draw the charts: looks and number formats are set here, what they show comes from the page's data.
"use strict";
(() => {
  const INK = "#1a1a1a", SOFT = "#4a4a4a", LINE = "#d5d5d5";
  const PRINT_WIDTH = 680; // of a page of A4 within its margins, in CSS pixels
  const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
  const data = JSON.parse(document.getElementById("charts").textContent);
  const spoken = document.getElementById("spoken");
  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const drawn = [];

  const escape = (value) =>
    String(value).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
  const show = (value) => (typeof value === "number" ? whole.format(value) : String(value ?? "–"));

  function describe(parameters) {
    const { seriesType, seriesName, name, value, data: item } = parameters;
    if (seriesType === "sankey") {
      return item.source ? `${item.source} → ${item.target}: ${show(item.value)}` : `${name}: ${show(value)}`;
    }
    if (seriesType === "boxplot") {
      // ECharts puts the place of the box before its five numbers.
      const five = value.length === 6 ? value.slice(1) : value;
      const names = ["5 %", "25 %", "median", "75 %", "95 %"];
      return `${name}: ${names.map((label, place) => `${label} ${show(five[place])}`).join(", ")}`;
    }
    if (seriesType === "scatter") {
      if (seriesName === "centres") return `${name}, centre: Age ${show(value[0])}, Spending_Power ${show(value[1])}`;
      const [age, power, income, purchases] = value;
      return `${seriesName}: Age ${show(age)}, Spending_Power ${show(power)}, Income ${show(income)}, Purchases ${show(purchases)}`;
    }
    if (Array.isArray(value)) return `${seriesName}: ${show(value[1])}`;
    return `${name}, ${seriesName}: ${show(value)}`;
  }

  const tooltip = (found) => [found].flat().map((one) => escape(describe(one))).join("<br>");

  function finishAxis(axis, rotates) {
    axis.axisLabel = { color: SOFT, hideOverlap: true };
    // Ends that were set fall beside round numbers.
    if (axis.min !== undefined) Object.assign(axis.axisLabel, { showMinLabel: axis.min === 0, showMaxLabel: axis.max === 100 });
    if (axis.type !== "category") axis.axisLabel.formatter = (value) => compact.format(value);
    axis.nameTextStyle = { color: SOFT, align: rotates ? "left" : "center" };
    axis.axisLine = { lineStyle: { color: SOFT } };
    axis.splitLine = { lineStyle: { color: LINE }, ...axis.splitLine };
  }

  // The regions are rectangles [left, right, bottom, top, place of the segment].
  function drawRegion(colors) {
    return (_, api) => {
      const [x0, y1] = api.coord([api.value(0), api.value(3)]);
      const [x1, y0] = api.coord([api.value(1), api.value(2)]);
      const fill = colors[api.value(4)];
      return {
        type: "rect",
        shape: { x: x0, y: y1, width: x1 - x0, height: y0 - y1 },
        style: { fill, stroke: fill, lineWidth: 1 },
      };
    };
  }

  function finish(option, label) {
    option.animation = false;
    option.textStyle = { fontFamily: FONT, color: INK };
    option.aria = { enabled: true, label: { description: label } };
    option.tooltip = { confine: true, formatter: tooltip, ...option.tooltip };
    option.legend = { show: false }; // the page has buttons, which wrap and take the keyboard
    if (option.xAxis) finishAxis(option.xAxis, false);
    if (option.yAxis) finishAxis(option.yAxis, true);
    for (const series of option.series) {
      if (series.type !== "custom") continue;
      series.renderItem = drawRegion(series.colors);
      series.encode = { x: [0, 1], y: [2, 3] };
    }
    return option;
  }

  // Arrow keys step through what a mouse would point at: left and right in a series, up and down between them.
  function steer(element, chart, option) {
    const steps = option.series.flatMap((series, place) =>
      series.silent || !series.data.length ? [] : [{ place, size: series.data.length }]);
    if (!steps.length) return;
    let row = 0, item = -1;
    const hide = () => { chart.dispatchAction({ type: "hideTip" }); chart.dispatchAction({ type: "downplay" }); };
    element.addEventListener("keydown", (event) => {
      const move = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
      if (event.key === "Escape") hide();
      if (!move) return;
      event.preventDefault();
      row = (row + move[0] + steps.length) % steps.length;
      const { place, size } = steps[row];
      item = move[0] ? 0 : (item + move[1] + size) % size;
      const target = { seriesIndex: place, dataIndex: item };
      chart.dispatchAction({ type: "downplay" });
      chart.dispatchAction({ type: "highlight", ...target });
      chart.dispatchAction({ type: "showTip", ...target });
      spoken.textContent = say(option, place, item);
    });
    element.addEventListener("blur", hide);
  }

  function say(option, place, item) {
    const series = option.series[place];
    const value = series.data[item];
    const categories = option.yAxis?.type === "category" ? option.yAxis.data : option.xAxis?.data;
    return describe({
      seriesType: series.type,
      seriesName: series.name,
      name: value?.name ?? categories?.[item] ?? "",
      value: value?.value ?? value,
      data: value,
    });
  }

  for (const [id, option] of Object.entries(data)) {
    const element = document.getElementById(id);
    const chart = echarts.init(element, null, { renderer: "svg" });
    chart.setOption(finish(option, document.getElementById(`${id}-alt`).textContent));
    element.removeAttribute("aria-label"); // ECharts puts the description here: the page shows it already
    element.setAttribute("role", "group");
    steer(element, chart, option);
    for (const button of document.querySelectorAll(`[data-for="${id}"] button`)) {
      button.addEventListener("click", () => {
        const isShown = button.getAttribute("aria-pressed") === "true";
        button.setAttribute("aria-pressed", String(!isShown));
        chart.dispatchAction({ type: isShown ? "legendUnSelect" : "legendSelect", name: button.textContent });
      });
    }
    new ResizeObserver(() => chart.resize()).observe(element);
    drawn.push(chart);
  }

  window.addEventListener("beforeprint", () =>
    drawn.forEach((chart) => {
      const isPair = chart.getDom().closest(".pair");
      chart.resize({ width: isPair ? PRINT_WIDTH / 2 - 12 : PRINT_WIDTH });
    }));
  window.addEventListener("afterprint", () => drawn.forEach((chart) => chart.resize()));
  document.body.dataset.charts = String(drawn.length);
})();
