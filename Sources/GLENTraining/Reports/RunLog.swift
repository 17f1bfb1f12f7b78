import GLENPlatform
import GLENText

/// Keeps what a training run reports in its folder: `metrics.jsonl`, and the same for TensorBoard.
///
/// A line is written at once and whole. When a run is resumed the lines that it will write anew are cut
/// off first, and the event file is made again from those that stay; a new run's log begins empty. Hand
/// `record` to `TrainingSession.report`.
///
/// Of a long phase some two thousand updates are kept, evenly spaced, the first twenty, and each that
/// was followed by a validation.
public final class RunLog {
  /// The most updates of a phase that are kept for their losses alone.
  static let recordsPerPhase = 2000
  /// How many updates at the beginning of a phase are all kept: by them two runs are told apart.
  static let firstRecords = 20

  /// The folder's file of metrics.
  public static func metricsURL(in folder: URL) -> URL {
    folder.appendingPathComponent("metrics.jsonl")
  }

  private let folder: URL
  private let goesOn: Bool
  private let warn: (String) -> Void
  private let now: () -> Double
  private var phase: String?
  private var metrics: OpenFile?
  private var events: EventFile?
  private var hasFailed = false

  /// A log of a run in `folder`, which is first written to when training first reports.
  ///
  /// - Parameters:
  ///   - goesOn: whether the run goes on from another in the folder, by a checkpoint or from its first phase,
  ///     so that the updates before its own stay.
  ///   - warn: is told what is left out of an earlier run's, and once if nothing more can be
  ///     written; training goes on.
  public init(folder: URL, goesOn: Bool = true, warn: @escaping (String) -> Void = { _ in }) {
    self.folder = folder
    self.goesOn = goesOn
    self.warn = warn
    now = { Date().timeIntervalSince1970 }
  }

  /// Keeps a report, if it is one of those that are kept.
  public func record(_ progress: TrainingProgress) {
    guard !hasFailed else { return }
    do {
      if progress.phase != phase { try begin(progress) }
      let interval = max(1, progress.steps / Self.recordsPerPhase)
      guard
        progress.step % interval == 0 || progress.step <= Self.firstRecords
          || progress.step == progress.steps || progress.validation != nil
      else { return }
      let time = now()
      for record in [
        MetricsRecord(before: progress, time: time), MetricsRecord(progress, time: time),
      ].compactMap(\.self) {
        try metrics?.write(Self.line(record))
        try events?.append(record)
      }
    } catch {
      hasFailed = true
      warn("the run's metrics can no longer be written: \(error.reason)")
    }
  }

  /// Ends the log of a run that has ended, or was stopped.
  ///
  /// One without an update has no records, not an earlier run's.
  public func end() {
    guard !goesOn, phase == nil else { return }
    try? FileManager.default.removeItem(at: Self.metricsURL(in: folder))
    try? removeEvents()
  }

  private func removeEvents() throws {
    let board = folder.appendingPathComponent("tensorboard")
    for name in try FileManager.default.contentsOfDirectory(atPath: board.path)
    where name.hasPrefix("events.out.tfevents.") && name.hasSuffix(".glen") {
      try FileManager.default.removeItem(at: board.appendingPathComponent(name))
    }
  }

  /// The records of a run, in the order of training.
  ///
  /// - Throws: `TrainingError` for a file that is missing or has no record, or a line that is none: unless it
  ///   is the last, which a full disk or a power cut may have cut short.
  public static func records(in folder: URL) throws(TrainingError) -> [MetricsRecord] {
    let url = metricsURL(in: folder)
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw .fileNotFound(path: url.path, expected: "the metrics of a training run")
    }
    var records: [MetricsRecord] = []
    var file = DatasetFile(url, malformedLineLimit: .max)
    try file.forEachRow { line, _ throws(LineProblem) in
      guard let record = try? JSONDecoder().decode(MetricsRecord.self, from: Data(line)) else {
        throw LineProblem(expected: "a record of metrics", got: "something else")
      }
      return record
    } _: { record, _ in
      records.append(record)
    }
    if case .malformedLine(_, let line, _, _)? = file.skippedLines.first, line != file.lineCount {
      throw .unreadableFile(path: url.path, reason: "no record in line \(line)")
    }
    guard !records.isEmpty else {
      throw .emptyFile(path: url.path, expected: "a record of at least one update")
    }
    return records
  }

  private static func line(_ record: MetricsRecord) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(record) + Data("\n".utf8)
  }

  /// Opens the files where a phase begins or goes on.
  private func begin(_ progress: TrainingProgress) throws {
    let isNew = !goesOn && phase == nil
    phase = progress.phase
    let url = Self.metricsURL(in: folder)
    let kept =
      isNew
      ? (bytes: Data(), records: [], damaged: 0) : Self.keptRecords(url, before: progress)
    if kept.damaged > 0 {
      warn("left out what is no record in \(url.path): \(counted(kept.damaged, "line"))")
    }
    try kept.bytes.write(to: url, options: .atomic)
    metrics = try OpenFile(appendingTo: url)

    let board = folder.appendingPathComponent("tensorboard")
    try FileManager.default.createDirectory(at: board, withIntermediateDirectories: true)
    try removeEvents()
    let time = kept.records.first?.time ?? now()
    let name = "events.out.tfevents.\(Int(now())).glen"
    let events = try EventFile(creating: board.appendingPathComponent(name), time: time)
    for record in kept.records { try events.append(record) }
    self.events = events
  }

  /// The lines of an earlier run up to the update before this one, and how many among them are no records.
  private static func keptRecords(
    _ url: URL, before progress: TrainingProgress
  ) -> (bytes: Data, records: [MetricsRecord], damaged: Int) {
    guard let data = try? Data(contentsOf: url) else { return (Data(), [], 0) }
    // With the first update what was measured before it is written anew.
    let first = progress.step > 1 ? progress.step : 0
    let order = TrainingSession.Phase.allCases.map(\.rawValue)
    func place(_ phase: String) -> Int { order.firstIndex(of: phase) ?? order.count }
    var records: [MetricsRecord] = []
    var bytes = Data()
    var damaged = 0
    for line in data.split(separator: 0x0A) {
      guard let record = try? JSONDecoder().decode(MetricsRecord.self, from: line) else {
        damaged += 1
        continue
      }
      guard (place(record.phase), record.step) < (place(progress.phase), first) else {
        break
      }
      records.append(record)
      bytes += line + Data("\n".utf8)
    }
    return (bytes, records, damaged)
  }
}
