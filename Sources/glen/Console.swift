import Foundation
import GLENText
import Logging

/// Results go to standard output; progress and messages to standard error.
enum Console {
  /// Writes text as a line to standard output; a full disk there ends the process with an error.
  static func output(_ text: String) { write(printable(text)) }

  private static func write(_ line: String) {
    do {
      try FileHandle.standardOutput.write(contentsOf: Data((line + "\n").utf8))
    } catch {
      self.error("error: standard output cannot be written: \(error.localizedDescription)")
      Foundation.exit(74)
    }
  }

  /// Writes a line to standard error; if nobody can read it, nothing is lost but the message.
  static func error(_ line: String) {
    try? FileHandle.standardError.write(contentsOf: Data((printable(line) + "\n").utf8))
  }

  /// Whether somebody watches standard error.
  static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// Rewrites the last line on a terminal, cut to its width: what has run over cannot be rewritten.
  static func status(_ line: String) {
    guard isTerminal else { return }
    var size = winsize()
    let isKnown = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
    let shown = line.prefix(isKnown ? Int(size.ws_col) - 1 : 79)
    try? FileHandle.standardError.write(contentsOf: Data(("\r\u{1B}[K" + shown).utf8))
  }

  /// Prints a value as JSON on one line.
  static func json(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    write(String(decoding: try encoder.encode(value), as: UTF8.self))
  }

  /// A logger that writes plain lines to standard error.
  static var logger: Logger {
    Logger(label: "glen") { _ in LineHandler() }
  }

  private struct LineHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info
    subscript(metadataKey key: String) -> Logger.MetadataValue? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let prefix = event.level >= .warning ? "\(event.level): " : ""
      Console.error(prefix + "\(event.message)")
    }
  }
}
