import Foundation
import GLENIndex

/// Builds made-up indexes of any size and times exact search in them; `Benchmarks/search/run` calls it.
///
///     search-benchmark build FOLDER DOCUMENTS LENGTH shared|uniform
///     search-benchmark search FOLDER shared|uniform
///
/// Each prints one line of JSON. Building and searching are two processes, so that each has its own
/// peak of memory.
@main
struct SearchBenchmark {
  static func main() {
    do {
      let arguments = Array(CommandLine.arguments.dropFirst())
      var report: [String: Double]
      if arguments.count == 5, arguments[0] == "build", let count = Int(arguments[2]),
        let length = Int(arguments[3]), let shape = Shape(rawValue: arguments[4])
      {
        report = try build(URL(fileURLWithPath: arguments[1]), count, length, shape)
      } else if arguments.count == 3, arguments[0] == "search",
        let shape = Shape(rawValue: arguments[2])
      {
        report = try search(URL(fileURLWithPath: arguments[1]), shape)
      } else {
        print("usage: search-benchmark build FOLDER DOCUMENTS LENGTH SHAPE | search FOLDER SHAPE")
        exit(64)
      }
      report["peakBytes"] = peakBytes()
      print(String(decoding: try JSONEncoder().encode(report), as: UTF8.self))
    } catch {
      print("search-benchmark: \(error)")
      exit(1)
    }
  }

  private static func build(
    _ folder: URL, _ count: Int, _ length: Int, _ shape: Shape
  ) throws -> [String: Double] {
    var generator = SplitMix(state: 1)
    var records = DocumentRecords()
    for document in 0..<count {
      records.append(
        id: "d\(document)", tokens: shape.identifier(length, &generator),
        weights: (0..<length).map { _ in Float(10 + 2 * generator.normal()) })
    }
    let begin = ContinuousClock.now
    let segment = try IndexSegment(
      records, identifierLength: length, vocabularySize: Shape.vocabularySize,
      weightFormat: .float16)
    let built = ContinuousClock.now
    let snapshot = try IndexSnapshot(
      [segment], identifierLength: length, vocabularySize: Shape.vocabularySize,
      modelFingerprint: "benchmark")
    try IndexFolder.write(snapshot, to: folder)
    var sizes: [String: Double] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
      let path = folder.appendingPathComponent(name).path
      let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
      sizes[name.hasPrefix("identifiers") ? "identifierBytes" : "otherBytes", default: 0] +=
        Double(size)
    }
    return sizes.merging(
      [
        "buildSeconds": (built - begin) / .seconds(1),
        "writeSeconds": (ContinuousClock.now - built) / .seconds(1),
      ], uniquingKeysWith: +)
  }

  private static func search(_ folder: URL, _ shape: Shape) throws -> [String: Double] {
    let begin = ContinuousClock.now
    let snapshot = try IndexFolder.open(folder)
    let opened = ContinuousClock.now
    let tables = snapshot.tables
    var generator = SplitMix(state: 2)
    var queries: [QueryScores] = []
    for _ in 0..<9 {
      let document = Int.random(in: 0..<snapshot.documentCount, using: &generator)
      queries.append(try shape.query(for: tables.tokens(ofDocument: document), &generator))
    }
    func filter(_ part: Int) -> DocumentSet {
      DocumentSet(
        (0..<snapshot.documentCount).filter { _ in generator.next() % UInt64(part) == 0 },
        capacity: snapshot.documentCount)
    }
    /// The median over the queries of the least of three.
    func milliseconds(_ threads: Int, _ isAllowed: DocumentSet? = nil) throws -> Double {
      let search = ExactSearch(tables, threadCount: threads)
      let times = try queries.map { query in
        try (0..<3).map { _ in
          let begin = ContinuousClock.now
          _ = try search.rank(query, limit: 100, isAllowed: isAllowed)
          return (ContinuousClock.now - begin) / .milliseconds(1)
        }.min() ?? 0
      }
      return times.sorted()[times.count / 2]
    }
    return [
      "documents": Double(snapshot.documentCount), "length": Double(snapshot.identifierLength),
      "openMilliseconds": (opened - begin) / .milliseconds(1),
      "oneThread": try milliseconds(1), "twoThreads": try milliseconds(2),
      "oneThreadTenth": try milliseconds(1, filter(10)),
      "oneThreadSeventeenth": try milliseconds(1, filter(17)),
    ]
  }

  private static func peakBytes() -> Double {
    var usage = rusage()
    #if os(Linux)
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
      return Double(usage.ru_maxrss) * 1024
    #else
      getrusage(RUSAGE_SELF, &usage)
      return Double(usage.ru_maxrss)
    #endif
  }
}
