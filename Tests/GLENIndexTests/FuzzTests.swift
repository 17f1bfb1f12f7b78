import Foundation
import GLENTensor
import Testing

@testable import GLENIndex

/// Damaged folders: an error or some answer, never a trap, a hang, or a look outside.
///
/// A trap ends the whole test run, so a run that ends has found none. `Scripts/fuzz-index N` runs more.
@Suite("Damaged folders") struct FuzzTests {
  private static let rounds =
    (ProcessInfo.processInfo.environment["GLEN_FUZZ"].flatMap(Int.init) ?? 3000) / 4

  /// A folder with several segments, deleted documents, titles, and metadata.
  private static func makeFolder(_ folder: URL) throws {
    var script = EditScript(seed: 5)
    while script.generation < 24 || script.state.count < 12 { try script.commitNext(to: folder) }
    let snapshot = try IndexFolder.open(folder)
    try #require(snapshot.segments.count > 1 && snapshot.segments.contains { $0.deleted != nil })
  }

  @Test(arguments: 0..<4)
  func damageNeverTraps(part: Int) throws {
    // Thousands of files: in memory where the system has such a place.
    let memory = URL(fileURLWithPath: "/dev/shm")
    try withTemporaryFolder(
      in: FileManager.default.isWritableFile(atPath: memory.path) ? memory : nil
    ) { folder in
      try Self.makeFolder(folder)
      let manifest = try IndexFolder.readManifest(in: folder.path)
      var generator = SeededGenerator(seed: UInt64(part) &+ 100)
      let query = try SearchCase(
        .random, documents: 1, length: EditScript.length, vocabulary: EditScript.vocabulary, seed: 3
      ).scores
      var (opened, refused) = (0, 0)
      for round in 0..<Self.rounds {
        let isRepaired = Int.random(in: 0..<4, using: &generator) > 0
        let undo = try Self.damage(folder, manifest, repairing: isRepaired, &generator)
        do {
          let snapshot = try IndexFolder.open(folder)
          opened += 1
          try Self.use(snapshot, query, &generator)
          if round % 16 == 0 { Self.merge(snapshot) }
        } catch let error as IndexError {
          refused += 1
          #expect(error.description.contains(folder.path))
        }
        if !isRepaired || round % 8 == 0 {
          do {
            try IndexFolder.verify(folder)
            // Where the checksums were repaired, another weight or letter is no damage.
            if !isRepaired { Issue.record("round \(round): the damage was not found") }
          } catch let error as IndexError {
            #expect(error.description.contains(folder.path))
          }
        }
        try undo()
      }
      try IndexFolder.verify(folder)
      print("part \(part): \(opened) damaged folders opened, \(refused) refused")
      #expect(opened > Self.rounds / 10 && refused > Self.rounds / 10)
    }
  }

  /// Every byte of every file of a small index.
  @Test func everyFlippedBitIsFound() throws {
    try withTemporaryFolder { folder in
      var records = DocumentRecords()
      for id in ["a", "b"] {
        records.append(
          id: id, title: "t", metadata: ["m": true], tokens: [1, 2], weights: [0.5, 0.25])
      }
      let segment = try IndexSegment(records, identifierLength: 2, vocabularySize: 3)
      try IndexFolder.write(
        IndexSnapshot(
          [segment.deleting([1])], identifierLength: 2, vocabularySize: 3, modelFingerprint: "m"),
        to: folder)
      let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      #expect(names.count == 4)
      for name in names {
        let url = folder.appendingPathComponent(name)
        let original = [UInt8](try Data(contentsOf: url))
        let handle = try FileHandle(forUpdating: url)
        func write(_ byte: UInt8, at place: Int) throws {
          try handle.seek(toOffset: UInt64(place))
          try handle.write(contentsOf: [byte])
        }
        for (place, byte) in original.enumerated() {
          try write(byte ^ 1 << UInt8(place % 8), at: place)
          if (try? IndexFolder.verify(folder)) != nil {
            Issue.record("byte \(place) of \(name): the damage was not found")
          }
          try write(byte, at: place)
        }
        try handle.close()
      }
      try IndexFolder.verify(folder)
    }
  }

  /// Damages a file of a folder; returns what makes it whole again.
  private static func damage(
    _ folder: URL, _ manifest: IndexManifest, repairing: Bool, _ generator: inout SeededGenerator
  ) throws -> () throws -> Void {
    let files = manifest.segments.indices.flatMap { segment in
      manifest.segments[segment].files.map { (segment, $0.kind, $0.file) }
    }
    let manifestURL = folder.appendingPathComponent(IndexManifest.fileName)
    let choice = Int.random(in: 0...files.count, using: &generator)
    guard choice < files.count else {
      let original = manifest.bytes
      var bytes = original
      mutate(&bytes, &generator)
      if repairing {
        let body = bytes.dropLast(IndexManifest.checksumLine(of: []).utf8.count)
        bytes = Array(body) + Array(IndexManifest.checksumLine(of: Array(body)).utf8)
      }
      if bytes == original { bytes.append(0) }
      try Data(bytes).write(to: manifestURL)
      return { try Data(original).write(to: manifestURL) }
    }
    let (segment, kind, file) = files[choice]
    let url = folder.appendingPathComponent(file.name)
    let original = try Data(contentsOf: url)
    var bytes = [UInt8](original)
    mutate(&bytes, &generator)
    if bytes == [UInt8](original) { bytes.append(0) }
    guard repairing else {
      try Data(bytes).write(to: url)
      return { try original.write(to: url) }
    }
    let checksum = CRC64.text(bytes.withUnsafeBytes { CRC64.checksum($0) })
    let new = IndexManifest.File(
      name: IndexManifest.dataFileName(kind: kind, checksum: checksum), bytes: bytes.count,
      crc64: checksum)
    var lying = manifest
    switch kind {
    case .identifiers: lying.segments[segment].identifiers = new
    case .documents: lying.segments[segment].documents = new
    case .deleted: lying.segments[segment].deleted = new
    case .keywords: lying.segments[segment].keywords = new
    }
    let newURL = folder.appendingPathComponent(new.name)
    try Data(bytes).write(to: newURL)
    try Data(lying.bytes).write(to: manifestURL)
    return {
      try FileManager.default.removeItem(at: newURL)
      try Data(manifest.bytes).write(to: manifestURL)
    }
  }

  /// Flips, cuts, appends, and puts extreme numbers where numbers are.
  private static func mutate(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
    for _ in 0..<Int.random(in: 1...3, using: &generator) where !bytes.isEmpty {
      let isHeader = Int.random(in: 0..<8, using: &generator) == 0
      let place = Int.random(
        in: 0..<(isHeader ? min(64, bytes.count) : bytes.count), using: &generator)
      switch Int.random(in: 0..<30, using: &generator) {
      case 0: bytes.removeLast(min(place, bytes.count))
      case 1: bytes += (0..<64).map { _ in UInt8.random(in: 0...255, using: &generator) }
      case 2...12: bytes[place] ^= UInt8.random(in: 1...255, using: &generator)
      case 13...16: bytes[place] &+= Bool.random(using: &generator) ? 1 : 255
      default:
        let width = [2, 4, 8].randomElement(using: &generator) ?? 4
        let lies: [UInt64] = [0, 1, 2, 30, 0x7FFF, 0xFFFF, 1 << 31, 0xFFFF_FFFF, 1 << 62, .max]
        let lie = lies.randomElement(using: &generator) ?? 0
        let start = place / width * width
        for byte in 0..<width where start + byte < bytes.count {
          bytes[start + byte] = UInt8(truncatingIfNeeded: lie >> UInt64(8 * byte))
        }
      }
    }
  }

  /// Everything that a reader can ask.
  private static func use(
    _ index: IndexSnapshot, _ query: QueryScores, _ generator: inout SeededGenerator
  ) throws {
    let some = DocumentSet(
      (0..<20).map { _ in Int.random(in: 0..<50, using: &generator) }, capacity: 50)
    for filter in [nil, some, DocumentSet([3], capacity: 90)] {
      let hits =
        (try? ExactSearch(index.tables).rank(query, limit: 30, isAllowed: filter)) ?? []
      let found =
        (try? BeamSearch(index.tables, width: 7).rank(query, limit: 9, isAllowed: filter)) ?? []
      for hit in hits + found {
        #expect(!hit.score.isNaN && !hit.similarity.isNaN && index.isLiving(hit.document))
      }
    }
    let trie = IdentifierTrie(index.tables)
    for prefix in [[], [1], [2, 3], [0, 1, 2]] as [[Int32]] {
      _ = (trie.count(of: prefix), trie.documentCount(of: prefix), trie.tokens(after: prefix))
    }
    _ = index.driftReport()
    for document in Set([0, 1, 7, index.documentCount / 2, index.documentCount - 1])
    where document >= 0 && document < index.documentCount {
      _ = index.document(withID: index.id(ofDocument: document))
      _ = (index.title(ofDocument: document), index.metadata(ofDocument: document))
      _ = index.tables.tokens(ofDocument: document)
    }
    _ = index.document(withID: "e3-1")
  }

  /// What a compaction does; it may find the damage.
  private static func merge(_ index: IndexSnapshot) {
    _ = try? IndexSegment.merging(
      index.segments, identifierLength: index.identifierLength,
      vocabularySize: index.vocabularySize)
  }
}
