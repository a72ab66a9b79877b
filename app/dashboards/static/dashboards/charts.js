// Draws the charts from the JSON in the page and keeps their tables up to date.
"use strict";

const Charts = (() => {
  const HEIGHT = 200;
  const drawn = new Map(); // {plot, figure} by chart key
  let shown = "";
  let data = null;

  const two = (number) => String(number).padStart(2, "0");

  // Times are UTC, as everywhere on the page.
  function moment(seconds, daily) {
    const at = new Date(seconds * 1000);
    const day = `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`;
    return daily ? day : `${day} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
  }

  function text(value, decimals) {
    if (value === null || value === undefined) return "–";
    const options = {minimumFractionDigits: decimals, maximumFractionDigits: decimals};
    return value.toLocaleString("en-GB", options);
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const byDay = (spec) => spec.daily || data.step >= 86400;
  const columnsOf = (spec) =>
    spec.series.map((metric) => (spec.daily ? data.daily : data.series)[metric.key]);

  // Draws the thresholds as dashed lines behind the data.
  function limits(spec) {
    return (plot) => {
      const {ctx, bbox} = plot;
      ctx.save();
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
      for (const limit of spec.limits) {
        const y = Math.round(plot.valToPos(limit.at, "y", true)) + 0.5;
        if (y < bbox.top || y > bbox.top + bbox.height) continue;
        ctx.strokeStyle = colour(limit.state === "bad" ? "--bad" : "--limit-warn");
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
      }
      ctx.restore();
    };
  }

  // The y axis starts at zero, except for success rates, which are close to 100 %. A threshold is
  // in view if the data comes near it.
  function scale(spec) {
    return (plot, least, most) => {
      if (least === null) return [0, 1];
      if (spec.key === "payments") {
        const lowest = Math.min(least, ...spec.limits.map((limit) => limit.at));
        return [Math.max(0, Math.floor(lowest - 2)), 100];
      }
      const near = spec.limits.map((limit) => limit.at).filter((at) => at <= 4 * most);
      const top = Math.max(most, ...near);
      return [0, top > 0 ? top * 1.08 : 1];
    };
  }

  function tick(spec) {
    return (plot, splits) => splits.map((value) => {
      if (value === null) return "";
      if (!Number.isInteger(value) && spec.series[0].decimals === 0) return "";
      const short = value >= 10000 ? `${+(value / 1000).toFixed(1)}k` : `${+value.toFixed(2)}`;
      return short;
    });
  }

  function days(plot, splits) {
    return splits.map((seconds) => {
      const at = new Date(seconds * 1000);
      const day = `${at.getUTCDate()} ${at.toLocaleString("en-GB", {month: "short", timeZone: "UTC"})}`;
      const time = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
      return time === "00:00" ? day : time;
    });
  }

  function axes(spec) {
    const font = "13px " + colour("--text");
    const common = {stroke: colour("--muted"), font, ticks: {show: false}};
    return [
      {...common, grid: {show: false}, values: days, space: 56, size: 34},
      {...common, grid: {stroke: colour("--line"), width: 1}, values: tick(spec), size: 52, space: 34},
    ];
  }

  function lines(spec) {
    return spec.series.map((metric) => ({
      label: metric.label,
      stroke: colour(metric.colour),
      fill: spec.bars ? colour(metric.colour) : undefined,
      width: spec.bars ? 0 : 2,
      spanGaps: false,
      points: spec.bars ? {show: false} : {size: 5},
      paths: spec.bars ? uPlot.paths.bars({size: [0.7, 40], align: 1, radius: 0.15}) : undefined,
    }));
  }

  function read(figure, spec) {
    return (plot) => {
      const at = plot.cursor.idx;
      const out = figure.querySelector(".readout");
      if (at === null || at === undefined) {
        out.textContent = "";
        return;
      }
      const parts = spec.series.map((metric, index) => {
        const label = spec.series.length > 1 ? `${metric.label} ` : "";
        return `${label}${text(plot.data[index + 1][at], metric.decimals)} ${spec.unit}`;
      });
      out.textContent = `${moment(plot.data[0][at], byDay(spec))} · ${parts.join(" · ")}`;
    };
  }

  function draw(figure, spec, table) {
    const place = figure.querySelector(".plot");
    place.replaceChildren();
    const step = spec.daily ? 86400 : data.step;
    const options = {
      width: place.clientWidth,
      height: HEIGHT,
      legend: {show: false},
      cursor: {
        y: false,
        drag: {x: false, y: false},
        points: {size: 7},
        sync: spec.daily ? undefined : {key: "steps"},
      },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: {
        // A bar spans its step, so the last one needs a step more.
        x: {range: (plot, from, to) => [from, spec.bars ? to + step : to]},
        y: {range: scale(spec)},
      },
      axes: axes(spec),
      series: [{}, ...lines(spec)],
      hooks: {drawAxes: [limits(spec)], setCursor: [read(figure, spec)]},
    };
    return new uPlot(options, table, place);
  }

  function fill(figure, spec, table) {
    const body = figure.querySelector("tbody");
    const rows = document.createDocumentFragment();
    for (let at = table[0].length - 1; at >= 0; at -= 1) {
      const row = document.createElement("tr");
      const start = document.createElement("th");
      start.scope = "row";
      start.textContent = moment(table[0][at], byDay(spec));
      row.append(start);
      spec.series.forEach((metric, index) => {
        const cell = document.createElement("td");
        cell.textContent = text(table[index + 1][at], metric.decimals);
        row.append(cell);
      });
      rows.append(row);
    }
    body.replaceChildren(rows);
  }

  const allZero = (table) => table.slice(1).every((column) => column.every((value) => !value));
  const allNull = (table) => table.slice(1).every((column) => column.every((value) => value === null));

  function show(spec, redraw) {
    const figure = document.getElementById(`chart-${spec.key}`);
    const table = [spec.daily ? data.days : data.steps, ...columnsOf(spec)];
    // A rate is null without data, and a rate of zero is worth showing. A count of zero is not.
    const empty = spec.adds_up ? allZero(table) : allNull(table);
    figure.querySelector(".chart-empty").hidden = !empty;
    figure.classList.toggle("is-empty", empty);
    const known = drawn.get(spec.key);
    if (empty || redraw) {
      if (known) known.plot.destroy();
      drawn.delete(spec.key);
    }
    if (!empty) {
      const current = drawn.get(spec.key);
      if (current) current.plot.setData(table);
      else drawn.set(spec.key, {plot: draw(figure, spec, table), figure});
    }
    const details = figure.querySelector("details");
    details.dataset.stale = "yes";
    if (details.open) refresh(details);
  }

  // Rewrites a stale table: at once if it is open, otherwise when it is opened.
  function refresh(details) {
    if (details.dataset.stale !== "yes") return;
    const figure = details.closest("figure");
    const spec = data.charts.find((chart) => figure.id === `chart-${chart.key}`);
    fill(figure, spec, [spec.daily ? data.days : data.steps, ...columnsOf(spec)]);
    details.dataset.stale = "";
  }

  function update() {
    const json = document.getElementById("drawable").textContent;
    if (json === shown) return;
    const first = data === null;
    shown = json;
    data = JSON.parse(json);
    for (const spec of data.charts) show(spec, false);
    if (first) listen();
  }

  function listen() {
    for (const figure of document.querySelectorAll("figure.chart")) {
      figure.querySelector("details").addEventListener("toggle", (event) => refresh(event.target));
    }
    new ResizeObserver(() => {
      for (const {plot, figure} of drawn.values()) {
        const width = figure.querySelector(".plot").clientWidth;
        if (width && width !== plot.width) plot.setSize({width, height: HEIGHT});
      }
    }).observe(document.querySelector(".charts"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const spec of data.charts) show(spec, true);
    });
  }

  return {update};
})();
