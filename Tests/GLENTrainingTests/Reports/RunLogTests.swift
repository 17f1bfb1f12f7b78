import Foundation
import Testing

@testable import GLENTraining

@Suite("The log of a run") struct RunLogTests {
  private static func progress(
    _ phase: String, _ step: Int, of steps: Int = 10, loss: Float = 1, validation: Double? = nil
  ) -> TrainingProgress {
    var progress = TrainingProgress(
      phase: phase, step: step, steps: steps,
      losses: [LossPart(name: "loss", value: loss), LossPart(name: "distance", value: 0.5)],
      learningRate: 0.25, gradientNorm: 2, stepsPerSecond: 4)
    progress.validation = validation
    progress.measurements = [LossPart(name: "identifiers/unique_share", value: 0.75)]
    return progress
  }

  private static func lines(_ folder: TemporaryFolder) throws -> [String] {
    try String(contentsOf: RunLog.metricsURL(in: folder.url), encoding: .utf8)
      .split(separator: "\n").map(String.init)
  }

  private static func steps(_ folder: TemporaryFolder) throws -> [String] {
    try RunLog.records(in: folder.url).map { "\($0.phase) \($0.step)" }
  }

  @Test func aLineHasEveryNumber() throws {
    let folder = try TemporaryFolder([:])
    let log = RunLog(folder: folder.url)
    log.record(Self.progress("refine", 1, validation: 0.125))
    log.record(Self.progress("refine", 2, loss: .nan))
    let records = try RunLog.records(in: folder.url)
    #expect(
      records[0].values == [
        "loss": 1, "loss/distance": 0.5, "learning_rate": 0.25, "gradient_norm": 2,
        "speed/updates_per_second": 4, "speed/tokens_per_second": 0, "validation/MRR@10": 0.125,
        "identifiers/unique_share": 0.75,
      ])
    #expect(records[0].steps == 10 && abs(records[0].time - Date().timeIntervalSince1970) < 60)
    #expect(records[1].values["loss"] == nil, "no JSON has a NaN")
    #expect(try Self.lines(folder).count == 2)
  }

  @Test func anEarlyEndingIsKept() throws {
    let folder = try TemporaryFolder([:])
    let log = RunLog(folder: folder.url)
    for (step, validation) in [(1, 0.25), (2, 0.5), (3, 0.5), (4, 0.5)] {
      var progress = Self.progress("refine", step, validation: validation)
      progress.measure = .recall
      progress.measurements = [LossPart(name: "validation/MRR@10", value: Float(step))]
      progress.bestStep = 2
      if step == 4 { progress.ending = .noImprovement(validations: 2) }
      log.record(progress)
    }
    let records = try RunLog.records(in: folder.url)
    #expect(records.map { $0.values["validation/R@1"] } == [0.25, 0.5, 0.5, 0.5])
    #expect(records.allSatisfy { $0.bestBy == "validation/R@1" })
    #expect(records.map { $0.ending != nil } == [false, false, false, true])
    let page = try RunReport(folder: folder.url).html()
    for part in [
      "<b>50.0</b><span>best R@1, at 2", "<b>4 of 10</b>", "4 validations",
      "<p>Ended early: R@1 was best after 2 updates and not better in 2 validations since.</p>",
    ] {
      #expect(page.contains(part), "\(part)")
    }
  }

  /// What validation says before the first update is update 0; a phase that kept its first model says so.
  @Test func theBeginningIsKept() throws {
    let folder = try TemporaryFolder()
    for _ in 1...2 {
      let log = RunLog(folder: folder.url)
      for step in 1...10 {
        var progress = Self.progress("refine", step, validation: step == 10 ? 0.25 : nil)
        if step == 1 { progress.validationBefore = 0.5 }
        log.record(progress)
      }
    }
    let records = try RunLog.records(in: folder.url)
    #expect(records.map(\.step) == Array(0...10), "a new run writes it anew")
    #expect(records[0].values == ["validation/MRR@10": 0.5])
    #expect(records[0].bestBy == "validation/MRR@10")
    #expect(try Self.events(folder).map(\.step) == [0] + Array(0...10), "with the file's own")
    let page = try RunReport(folder: folder.url).html()
    for part in [
      "<b>50.0</b><span>best MRR@10, before the first update",
      "its model is the one that it began with",
    ] {
      #expect(page.contains(part), "\(part)")
    }
    // Without a validation at its end a phase keeps its last model.
    let log = RunLog(folder: folder.url)
    log.record(Self.progress("refine", 10))
    #expect(try !RunReport(folder: folder.url).html().contains("that it began with"))
  }

  @Test func aResumedRunCutsWhatItWritesAnew() throws {
    let folder = try TemporaryFolder([:])
    let first = RunLog(folder: folder.url)
    for step in 1...10 { first.record(Self.progress("keywords", step)) }
    for step in 1...7 { first.record(Self.progress("refine", step)) }
    let handle = try FileHandle(forWritingTo: RunLog.metricsURL(in: folder.url))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data("{\"phase\": \"ref".utf8))
    try handle.close()

    var warnings: [String] = []
    let second = RunLog(folder: folder.url) { warnings.append($0) }
    second.record(Self.progress("refine", 5, loss: 3))
    second.record(Self.progress("refine", 6, loss: 3))
    let expected = (1...10).map { "keywords \($0)" } + (1...6).map { "refine \($0)" }
    #expect(try Self.steps(folder) == expected)
    #expect(try RunLog.records(in: folder.url).suffix(2).allSatisfy { $0.values["loss"] == 3 })

    #expect(warnings.isEmpty, "what is damaged lies behind")
    let third = RunLog(folder: folder.url)
    third.record(Self.progress("keywords", 1))
    #expect(try Self.steps(folder) == ["keywords 1"], "a new run begins a new log")
    #expect(try Self.events(folder).map(\.step) == [0, 1], "and a new event file")
  }

  /// A run that takes the place of another has nothing of it in its log, with updates or without.
  @Test(arguments: [true, false])
  func aNewRunHasNoneOfAnEarlierOnes(updates: Bool) throws {
    let folder = try TemporaryFolder([:])
    let first = RunLog(folder: folder.url)
    for step in 1...3 { first.record(Self.progress("keywords", step)) }
    let second = RunLog(folder: folder.url, goesOn: false)
    #expect(try Self.steps(folder).count == 3, "nothing goes before the new run has something")
    if updates {
      second.record(Self.progress("keywords", 1))
      second.record(Self.progress("refine", 1))
    }
    second.end()
    if updates {
      #expect(try Self.steps(folder) == ["keywords 1", "refine 1"])
    } else {
      #expect(throws: TrainingError.self) { try RunLog.records(in: folder.url) }
      let board = folder.url.appendingPathComponent("tensorboard")
      #expect(try FileManager.default.contentsOfDirectory(atPath: board.path).isEmpty)
    }
    let third = RunLog(folder: folder.url, goesOn: true)
    third.end()
    #expect(
      FileManager.default.fileExists(atPath: RunLog.metricsURL(in: folder.url).path) == updates)
  }

  @Test func aLongPhaseKeepsTwoThousandUpdatesAndEveryValidation() throws {
    let folder = try TemporaryFolder([:])
    let log = RunLog(folder: folder.url)
    for step in 1...10_000 {
      log.record(
        Self.progress("keywords", step, of: 10_000, validation: step == 4444 ? 0.5 : nil))
    }
    let kept = try RunLog.records(in: folder.url).map(\.step)
    let isFirst = { $0 <= RunLog.firstRecords }
    #expect(kept == (1...10_000).filter { isFirst($0) || $0 % 5 == 0 || $0 == 4444 })
  }

  @Test func aFolderThatCannotBeWrittenIsOneWarning() throws {
    let folder = try TemporaryFolder(["run": "a file"])
    var warnings = 0
    let log = RunLog(folder: folder.url.appendingPathComponent("run")) { _ in warnings += 1 }
    for step in 1...3 { log.record(Self.progress("keywords", step)) }
    #expect(warnings == 1)
  }

  @Test func namesADamagedLine() throws {
    let folder = try TemporaryFolder(["metrics.jsonl": "{\"phase\": 3}\n{}\n"])
    let error = #expect(throws: TrainingError.self) { try RunReport(folder: folder.url) }
    #expect(error?.description.contains("no record in line 1") == true)
    #expect(error?.description.contains("allow a number") == false, "there is no such option")
  }

  @Test(arguments: ["", "\n", "{\"phase\": \"key"])
  func nothingToShowIsAnError(text: String) throws {
    let folder = try TemporaryFolder(["metrics.jsonl": text])
    let error = #expect(throws: TrainingError.self) { try RunReport(folder: folder.url) }
    #expect(error?.description.contains("has no entries") == true)
  }

  /// A damaged line in the middle costs a resumed run that line alone.
  @Test func aDamagedLineIsLeftOut() throws {
    let folder = try TemporaryFolder()
    let first = RunLog(folder: folder.url)
    for step in 1...6 { first.record(Self.progress("keywords", step)) }
    let url = RunLog.metricsURL(in: folder.url)
    var lines = String(decoding: try Data(contentsOf: url), as: UTF8.self)
      .split(separator: "\n").map(String.init)
    lines[2] = "\u{0}\u{0}"
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: url)
    var warnings: [String] = []
    RunLog(folder: folder.url) { warnings.append($0) }.record(Self.progress("keywords", 6))
    #expect(warnings.count == 1 && warnings.first?.hasSuffix("metrics.jsonl: 1 line") == true)
    #expect(try Self.steps(folder) == [1, 2, 4, 5, 6].map { "keywords \($0)" })
  }

  /// What a full disk or a power cut leaves of the last line is passed over.
  @Test func aLastLineThatIsCutShortIsLeftOut() throws {
    let folder = try TemporaryFolder()
    let log = RunLog(folder: folder.url)
    for step in 1...3 { log.record(Self.progress("keywords", step)) }
    let url = RunLog.metricsURL(in: folder.url)
    let whole = try Data(contentsOf: url)
    try whole.dropLast(20).write(to: url)
    #expect(try RunLog.records(in: folder.url).map(\.step) == [1, 2])
    #expect(try RunReport(folder: folder.url).html().contains("2 of"))
  }

  // MARK: TensorBoard

  @Test func theChecksumIsCastagnolis() {
    #expect(CRC32C.checksum("123456789".utf8) == 0xE306_9283)
    #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
  }

  /// The event of one scalar, byte for byte as TensorBoard's own writer makes it.
  @Test func anEventIsAMessageBetweenChecksums() throws {
    let folder = try TemporaryFolder([:])
    let log = RunLog(folder: folder.url)
    log.record(Self.progress("refine", 300, of: 300))
    let events = try Self.events(folder)
    #expect(events.map(\.step) == [0, 300])
    let expected: [UInt8] =
      [0x0A, 0x0B] + Array("refine/loss".utf8) + [0x15, 0x00, 0x00, 0x80, 0x3F]
    let body = [UInt8](events[1].bytes)
    #expect(body.indices.contains { body[$0...].starts(with: expected) })
  }

  /// The events of the only file, whose lengths and checksums are right.
  private static func events(
    _ folder: TemporaryFolder
  ) throws -> [(step: Int, bytes: Data)] {
    let board = folder.url.appendingPathComponent("tensorboard")
    let names = try FileManager.default.contentsOfDirectory(atPath: board.path)
    #expect(names.count == 1)
    let data = try Data(contentsOf: board.appendingPathComponent(names.first ?? ""))
    func number(_ place: Int, _ size: Int) -> UInt64 {
      (0..<size).reduce(0) { $0 | UInt64(data[place + $1]) << UInt64(8 * $1) }
    }
    func masked(_ bytes: Data) -> UInt64 {
      let checksum = UInt64(CRC32C.checksum(bytes))
      return ((checksum >> 15 | checksum << 17) & 0xFFFF_FFFF + 0xA282_EAD8) & 0xFFFF_FFFF
    }
    var events: [(Int, Data)] = []
    var place = 0
    while place < data.count {
      let length = Int(number(place, 8))
      let message = data[(place + 12)..<(place + 12 + length)]
      #expect(number(place + 8, 4) == masked(data[place..<place + 8]))
      #expect(number(place + 12 + length, 4) == masked(message))
      // Time: a tag and eight bytes. Then the step, or the version of the file.
      let field = [UInt8](message.dropFirst(9))
      var step = 0
      if field[0] == 0x10 {
        step = Int(field[1] & 0x7F) | (field[1] > 127 ? Int(field[2]) << 7 : 0)
      }
      events.append((step, message))
      place += 16 + length
    }
    return events
  }

  // MARK: The page

  @Test func nothingInATextIsMarkup() {
    #expect(HTML.escaped("a<b> & \"c\"") == "a&lt;b&gt; &amp; &quot;c&quot;")
    #expect(HTML.escaped("\"\u{301}<\u{338}") == "&quot;\u{301}&lt;\u{338}")
  }

  @Test func thePageHasCurvesTablesAndTheRecipe() throws {
    let folder = try TemporaryFolder([
      "recipe.json": "{\"a\": {\"b<\": 3, \"d\": \"e\"}, \"c\": [1, 2], \"f\": true, \"g\": 2e-3}"
    ])
    let log = RunLog(folder: folder.url)
    for step in 1...10 {
      log.record(
        Self.progress("keywords", step, validation: step % 5 == 0 ? Double(step) / 20 : nil))
    }
    log.record(Self.progress("refine", 10))
    let page = try RunReport(folder: folder.url).html()
    for part in [
      "Phase 1: keywords", "Phase 2: refinement", "<b>50.0</b><span>best MRR@10, at 10",
      "<td>a.b&lt;<td>3", "<td>a.d<td>e", "<td>c<td>[1,2]", "<td>f<td>true", "<td>g<td>0.002",
      "2 validations", "prefers-color-scheme:dark", "<b>10 of 10</b>",
    ] {
      #expect(page.contains(part), "\(part)")
    }
    #expect(page.components(separatedBy: "<polyline").count - 1 >= 8)
    #expect(!page.contains("http"), "needs no network")

    try FileManager.default.removeItem(at: folder.url.appendingPathComponent("recipe.json"))
    let unfinished = try RunReport(folder: folder.url).html()
    #expect(unfinished.contains("The folder has no recipe yet"))
    #expect(!unfinished.contains("<th>key"))
  }

  @Test(arguments: [(0.0, 1.0), (0, 3), (-2, 7), (5, 5), (1e-9, 2e-9), (3, 1e12)])
  func ticksSpanTheirRange(low: Double, high: Double) {
    let ticks = CurveChart.ticks(from: low, to: high)
    #expect((1...8).contains(ticks.count))
    let rounding = 1e-12 * max(abs(low), abs(high))
    #expect(ticks.first ?? .infinity <= low + rounding)
    #expect(ticks.last ?? -.infinity >= high - rounding)
  }

  @Test func identifiersAreCounted() {
    let parts = Validator.statistics(of: [1, 2, 1, 2, 3, 4, 1, 3], length: 2)
    #expect(
      parts.map(\.name).map { $0.split(separator: "/").last } == [
        "unique_share", "colliding_documents", "largest_collision", "entropy_bits",
      ])
    #expect(parts.map(\.value) == [0.5, 2, 2, 1.5])
  }
}
