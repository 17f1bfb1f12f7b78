import Foundation
import Testing

/// The built `glen`, run as a process.
enum CommandLineTool {
  /// What a run left behind.
  struct Outcome {
    var status: Int32
    var isSignal: Bool
    var output: String
    var error: String
  }

  /// The binary beside the test bundle; `GLEN_BINARY` names another.
  static let url: URL? = {
    if let path = ProcessInfo.processInfo.environment["GLEN_BINARY"] {
      return URL(fileURLWithPath: path)
    }
    var folder = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    for _ in 0..<5 {
      folder = folder.deletingLastPathComponent()
      let candidate = folder.appendingPathComponent("glen")
      if FileManager.default.isExecutableFile(atPath: candidate.path) { return candidate }
    }
    return nil
  }()

  static var isBuilt: Bool { url != nil }

  /// Another program that is built beside the tool.
  static func neighbour(_ name: String) throws -> URL {
    try #require(url).deletingLastPathComponent().appendingPathComponent(name)
  }

  /// Runs the tool to its end.
  @discardableResult
  static func run(_ arguments: String...) throws -> Outcome { try run(arguments) }

  static func run(_ arguments: [String]) throws -> Outcome {
    try finish(launch(try #require(url), arguments))
  }

  /// Runs a line of `sh` in which `$GLEN` is the tool and `$1` the first argument.
  static func shell(_ script: String, _ arguments: String...) throws -> Outcome {
    try finish(launch(URL(fileURLWithPath: "/bin/sh"), ["-c", script, "sh"] + arguments))
  }

  /// A run that has begun: its process, and files that receive what it prints.
  struct Running {
    var process: Process
    var output: URL
    var error: URL

    /// What it has written to standard error so far.
    func errorSoFar() -> String {
      String(decoding: (try? Data(contentsOf: error)) ?? Data(), as: UTF8.self)
    }
  }

  static func launch(_ tool: URL, _ arguments: [String]) throws -> Running {
    let process = Process()
    process.executableURL = tool
    process.arguments = arguments
    var environment = ProcessInfo.processInfo.environment
    environment["GLEN"] = url?.path
    process.environment = environment
    let folder = FileManager.default.temporaryDirectory
    let name = "glen-command-\(UUID().uuidString)"
    let output = folder.appendingPathComponent(name + ".out")
    let error = folder.appendingPathComponent(name + ".err")
    for file in [output, error] {
      _ = FileManager.default.createFile(atPath: file.path, contents: nil)
    }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: output)
    process.standardError = try FileHandle(forWritingTo: error)
    try process.run()
    return Running(process: process, output: output, error: error)
  }

  static func finish(_ running: Running) throws -> Outcome {
    running.process.waitUntilExit()
    defer {
      for file in [running.output, running.error] { try? FileManager.default.removeItem(at: file) }
    }
    return Outcome(
      status: running.process.terminationStatus,
      isSignal: running.process.terminationReason == .uncaughtSignal,
      output: String(decoding: try Data(contentsOf: running.output), as: UTF8.self),
      error: running.errorSoFar())
  }
}

/// A folder that is removed with the last reference to it.
final class TemporaryFolder: Sendable {
  let url: URL

  init(_ files: [String: String] = [:]) throws {
    url = FileManager.default.temporaryDirectory
      .appendingPathComponent("glen-command-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    for (name, text) in files { try write(Data(text.utf8), to: name) }
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func write(_ data: Data, to name: String) throws {
    let file = url.appendingPathComponent(name)
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try data.write(to: file)
  }

  /// The path of something inside.
  func path(_ name: String) -> String { url.appendingPathComponent(name).path }
}
