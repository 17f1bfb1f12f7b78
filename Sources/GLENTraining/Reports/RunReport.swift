import GLENPlatform

/// A training run on one page: curves, tables and the recipe, in a file that needs no other.
public struct RunReport {
  private let name: String
  private let records: [MetricsRecord]
  private let recipe: [(key: String, value: String)]

  /// Reads the folder of a run, finished or not.
  ///
  /// - Throws: `TrainingError.fileNotFound` for a folder without `metrics.jsonl`,
  ///   `.unreadableFile` for one that is damaged, `.emptyFile` for one without a record.
  public init(folder: URL) throws(TrainingError) {
    name = folder.standardizedFileURL.lastPathComponent
    records = try RunLog.records(in: folder)
    let data = try? Data(contentsOf: folder.appendingPathComponent("recipe.json"))
    let value = data.flatMap { try? JSONDecoder().decode(JSONValue.self, from: $0) }
    // Nothing is a leaf without a name.
    recipe = (value?.leaves ?? []).filter { !$0.path.isEmpty }.map { leaf in
      if case .string(let text) = leaf.value {
        (leaf.path, text)
      } else {
        (leaf.path, "\(leaf.value)")
      }
    }
  }

  /// The page.
  public func html() -> String {
    let phases = records.reduce(into: [String]()) { phases, record in
      if phases.last != record.phase { phases.append(record.phase) }
    }
    let sections = phases.map { phase in
      section(phase, records.filter { $0.phase == phase })
    }
    let rows = recipe.map { "<tr><td>\(HTML.escaped($0.key))<td>\(HTML.escaped($0.value))" }
    let table =
      rows.isEmpty
      ? "<p>The folder has no recipe yet: it is saved when a phase has ended.</p>"
      : "<table class=recipe><tr><th>key<th>value\(rows.joined())</table>"
    return """
      <!doctype html>
      <html lang="en"><head><meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(HTML.escaped(name))</title><style>\(Self.style)</style></head><body><main>
      <h1>\(HTML.escaped(name))</h1>
      \(sections.joined())<h2>Recipe</h2>
      \(table)
      </main></body></html>

      """
  }

  // MARK: Parts

  private func section(_ phase: String, _ records: [MetricsRecord]) -> String {
    guard let first = records.first, let last = records.last else { return "" }
    let title = ["keywords": "Phase 1: keywords", "refine": "Phase 2: refinement"][phase] ?? phase
    var cards = [
      ("updates", "\(last.step) of \(last.steps)"),
      ("time", HTML.duration(last.time - first.time)),
    ]
    if let loss = last.values["loss"] { cards.append(("last loss", HTML.number(loss))) }
    let validation = records.lazy.compactMap(\.bestBy).first ?? "validation/MRR@10"
    // The first of equals, as training has it.
    let best = records.reduce(nil as MetricsRecord?) { best, record in
      guard let value = record.values[validation] else { return best }
      return value > best?.values[validation] ?? -.infinity ? record : best
    }
    if let best, let value = best.values[validation] {
      let place = best.step > 0 ? "at \(best.step)" : "before the first update"
      let name = "best \(Self.title(validation)), \(place)"
      cards.append((name, String(printf: "%.1f", value * 100)))
    }
    if let share = records.last(where: { $0.values["identifiers/unique_share"] != nil })?
      .values["identifiers/unique_share"]
    {
      cards.append(("identifiers of their own", String(printf: "%.1f %%", share * 100)))
    }
    let figures = cards.map {
      "<div><b>\(HTML.escaped($0.1))</b><span>\(HTML.escaped($0.0))</span></div>"
    }
    let isOver = last.step == last.steps || last.ending != nil
    // A run may have been resumed without validation.
    let keptStart =
      isOver && best?.step == 0 && last.mixing == nil && last.values[validation] != nil
    let ending =
      (keptStart
        ? "<p>No validation was better than the first: its model is the one that it began with.</p>"
        : "")
      + (last.ending.map { "<p>Ended early: \(HTML.escaped($0)).</p>" } ?? "")
      + (last.mixing.map { "<p>Its model is a mean: \(HTML.escaped($0)).</p>" } ?? "")
    return """
      <h2>\(HTML.escaped(title))</h2>
      <div class=cards>\(figures.joined())</div>\(ending)
      <div class=charts>\(charts(records).joined())</div>
      \(validationTable(records))
      """
  }

  /// Losses in one chart, validation in another, then one for every other number.
  private func charts(_ records: [MetricsRecord]) -> [String] {
    let names = Set(records.flatMap(\.values.keys)).sorted()
    func curve(_ name: String) -> CurveChart.Curve {
      CurveChart.Curve(
        name: Self.title(name),
        points: records.compactMap { record in
          record.values[name].map { (Double(record.step), $0) }
        })
    }
    let losses = names.filter { $0 == "loss" || $0.hasPrefix("loss/") }
    let validation = names.filter { $0.hasPrefix("validation/") }
    let rest = names.filter { !losses.contains($0) && !validation.contains($0) }
    var charts = [
      CurveChart(title: "loss", curves: losses.map(curve)),
      CurveChart(title: "validation", curves: validation.map(curve)),
    ]
    charts += rest.map { CurveChart(title: Self.title($0), curves: [curve($0)]) }
    return charts.map { $0.html() }
  }

  /// The name behind its group, in words.
  private static func title(_ name: String) -> String {
    (name.split(separator: "/").last.map(String.init) ?? name)
      .replacing("_", with: " ")
  }

  private func validationTable(_ records: [MetricsRecord]) -> String {
    let validated = records.filter { $0.values.keys.contains { $0.hasPrefix("validation/") } }
    guard !validated.isEmpty else { return "" }
    let names = Set(validated.flatMap(\.values.keys)).sorted().filter {
      $0 == "loss" || $0.hasPrefix("validation/") || $0.hasPrefix("identifiers/")
    }
    let head = names.map { "<th>\(HTML.escaped(Self.title($0)))" }
    let rows = validated.map { record in
      let cells = names.map { name in
        let value = record.values[name].map { value in
          name.hasPrefix("validation/")
            ? String(printf: "%.1f", value * 100) : HTML.number(value)
        }
        return "<td>\(value ?? "")"
      }
      return "<tr><td>\(record.step)\(cells.joined())"
    }
    return """
      <details><summary>\(validated.count) validations</summary>
      <table><tr><th>update\(head.joined())\(rows.joined())</table></details>

      """
  }

  private static let style = """
    :root{color-scheme:light dark;--ink:#1d2330;--soft:#667085;--paper:#f6f7f9;--card:#fff;
    --line:#e4e7ec;--c0:#2f6fde;--c1:#d9772b;--c2:#2a9d62;--c3:#b14bc4;--c4:#c2414c;--c5:#5b7083}
    @media(prefers-color-scheme:dark){:root{--ink:#e7eaf0;--soft:#98a2b3;--paper:#14171d;
    --card:#1d2129;--line:#313743;--c0:#6ba1ff;--c1:#f0a15e;--c2:#5fcf96;--c3:#d88be6;--c4:#f0808a;
    --c5:#a3b4c5}}
    body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
    main{max-width:1240px;margin:0 auto;padding:24px 20px 60px}
    h1{font-size:26px;margin:8px 0 0}h2{font-size:19px;margin:32px 0 12px}
    .cards{display:flex;flex-wrap:wrap;gap:12px;margin-bottom:16px}
    .cards div{background:var(--card);border:1px solid var(--line);border-radius:10px;
    padding:10px 16px}.cards b{display:block;font-size:19px}
    .cards span{color:var(--soft);font-size:13px}
    .charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(340px,1fr));gap:14px}
    figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;
    padding:12px 12px 8px}figcaption{font-weight:600;margin:0 0 4px 4px}
    svg{width:100%;height:auto;display:block}svg text{font-size:11px;fill:var(--soft)}
    .grid{stroke:var(--line)}polyline{fill:none;stroke-width:1.8;stroke-linejoin:round}
    .legend{font-size:12.5px;color:var(--soft);display:flex;flex-wrap:wrap;gap:2px 14px;
    padding:2px 4px}.legend b{color:var(--ink)}
    .legend i{display:inline-block;width:9px;height:9px;border-radius:50%;margin-right:5px}
    .c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}
    .c4{stroke:var(--c4)}.c5{stroke:var(--c5)}circle.c0,i.c0{fill:var(--c0);background:var(--c0)}
    circle.c1,i.c1{fill:var(--c1);background:var(--c1)}
    circle.c2,i.c2{fill:var(--c2);background:var(--c2)}
    circle.c3,i.c3{fill:var(--c3);background:var(--c3)}
    circle.c4,i.c4{fill:var(--c4);background:var(--c4)}
    circle.c5,i.c5{fill:var(--c5);background:var(--c5)}
    table{border-collapse:collapse;font-size:13.5px;font-variant-numeric:tabular-nums;
    background:var(--card);border:1px solid var(--line);border-radius:10px;margin-top:8px}
    th,td{padding:4px 12px;text-align:right;border-bottom:1px solid var(--line)}
    th{color:var(--soft);font-weight:600}.recipe td,.recipe th{text-align:left}
    details{margin-top:14px;overflow-x:auto}summary{cursor:pointer;color:var(--soft)}
    """
}
