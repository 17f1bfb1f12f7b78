import Foundation
import Testing

@testable import GLENIndex

#if canImport(Glibc)
  import Glibc

  /// Processes that are killed at random moments of a commit leave a committed state and nothing else.
  ///
  /// `Scripts/kill-test N` runs more of them.
  @Suite("Killed writers", .serialized) struct KillTests {
    private static let count =
      ProcessInfo.processInfo.environment["GLEN_KILLS"].flatMap(Int.init) ?? 20

    @Test func aKilledProcessLeavesACommittedState() async throws {
      let parent = FileManager.default.temporaryDirectory.appendingPathComponent(
        "glen-kill-\(UUID().uuidString)")
      try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(at: parent) }
      let folder = parent.appendingPathComponent("index")
      var script = EditScript(seed: 1)
      try script.commitNext(to: folder)
      try Self.report(1, in: parent)
      var (generator, advanced) = (SeededGenerator(seed: 7), 0)
      for kill in 0..<Self.count {
        let delay = UInt32.random(in: 0..<40_000, using: &generator)
        await #expect(processExitsWith: .signal(SIGKILL)) {
          [path = parent.path as String, delay = delay as UInt32] in
          try KillTests.commitUntilKilled(in: URL(fileURLWithPath: path), after: delay)
        }
        // What was reported as committed is there, and what is there was committed as a whole.
        let snapshot = try IndexFolder.open(folder, verifying: true)
        let log = try? Data(contentsOf: parent.appendingPathComponent("committed"))
        #expect(snapshot.generation >= log?.count ?? 0, "kill \(kill)")
        #expect(snapshot.generation <= (log?.count ?? 0) + 1, "kill \(kill)")
        advanced += snapshot.generation - script.generation
        while script.generation < snapshot.generation { _ = script.next() }
        #expect(snapshot.entries == script.state, "kill \(kill), generation \(script.generation)")
        let missing = snapshot.generation - (log?.count ?? 0)
        try Self.report(missing, in: parent)
      }
      print("\(Self.count) kills in \(advanced) commits")
      #expect(advanced > 0)
    }

    /// Goes on with the script where the folder is, while a thread waits to kill the process.
    private static func commitUntilKilled(in parent: URL, after delay: UInt32) throws {
      let folder = parent.appendingPathComponent("index")
      var script = EditScript(seed: 1)
      let generation = try IndexFolder.open(folder).generation
      while script.generation < generation { _ = script.next() }
      Thread.detachNewThread {
        usleep(delay)
        kill(getpid(), SIGKILL)
      }
      while true {
        try script.commitNext(to: folder)
        try report(1, in: parent)
      }
    }

    /// Appends a byte for each commit to a file.
    private static func report(_ count: Int, in parent: URL) throws {
      let descriptor = open(
        parent.path + "/committed", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
      defer { close(descriptor) }
      _ = write(descriptor, [UInt8](repeating: 0x2E, count: count), count)
    }
  }
#endif
