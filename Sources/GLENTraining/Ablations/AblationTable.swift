import GLENPlatform

/// What ablations did to the measures of some splits: means over seeds, with their intervals.
///
/// Encodes as JSON with every seed's value.
public struct AblationTable: Sendable, Codable, Equatable {
  /// One measure of one split.
  public struct Cell: Sendable, Codable, Equatable {
    /// The split's name.
    public var split: String
    /// The metric's name.
    public var metric: String
    /// The mean over the seeds, as a fraction of 1.
    public var estimate: MeanEstimate
  }

  /// One ablation.
  public struct Row: Sendable, Codable, Equatable {
    /// What was left out.
    public var ablation: Ablation
    /// The measures, in the order of the columns.
    public var cells: [Cell]
  }

  /// The seeds, in the order of every cell's values.
  public var seeds: [UInt64]
  /// The rows.
  public var rows: [Row]

  /// The table as aligned text, values times 100.
  public var text: String { TextTable.aligned(lines) + "\n" + note + "\n" }

  /// The table in Markdown, values times 100.
  public var markdown: String {
    func line(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |\n" }
    let rule = lines[0].indices.map { $0 == 0 ? "---" : "---:" }
    return line(lines[0]) + line(rule) + lines.dropFirst().map(line).joined() + "\n" + note + "\n"
  }

  /// The table as a JSON object with sorted keys.
  ///
  /// - Throws: what the encoder throws, when a value is not finite.
  public func jsonData() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return try encoder.encode(self)
  }

  private var lines: [[String]] {
    let header = ["ablation"] + (rows.first?.cells.map { "\($0.split) \($0.metric)" } ?? [])
    return [header]
      + rows.map { row in
        [row.ablation.rawValue]
          + row.cells.map { cell in
            String(printf: "%.1f", 100 * cell.estimate.mean)
              + (cell.estimate.halfWidth.map { String(printf: " ± %.1f", 100 * $0) } ?? "")
          }
      }
  }

  private var note: String {
    let names = seeds.map { String($0) }.joined(separator: ", ")
    let seedNote =
      seeds.count > 1
      ? "Means over the seeds \(names); ± is half the width of the 95 % confidence interval "
        + "(Student's t, \(seeds.count - 1) degrees of freedom)."
      : "One run with the seed \(names): there is no interval."
    let equals = rows.filter { $0.ablation != .full && $0.cells == full?.cells }
    guard !equals.isEmpty else { return seedNote }
    return seedNote + "\nThe same to the last digit as full: "
      + equals.map(\.ablation.rawValue).joined(separator: ", ")
      + ". What the switch changes has changed no answer, or nothing at all in this recipe."
  }

  private var full: Row? { rows.first { $0.ablation == .full } }
}

/// Text in columns.
enum TextTable {
  /// One line a row; the first column to the left, the others to the right.
  static func aligned(_ rows: [[String]]) -> String {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in
      rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    return rows.map { row in
      row.indices.map { column in
        let padding = String(repeating: " ", count: widths[column] - row[column].count)
        return column == 0 ? row[column] + padding : padding + row[column]
      }.joined(separator: "  ") + "\n"
    }.joined()
  }
}
