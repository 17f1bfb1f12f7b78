import GLENPlatform
import GLENText
import Logging

/// Results go to standard output; progress and messages to standard error.
enum Console {
  /// Writes text as a line to standard output; a full disk there ends the process with an error.
  static func output(_ text: String) { write(printable(text)) }

  private static func write(_ line: String) {
    do {
      try write(line + "\n", to: STDOUT_FILENO)
    } catch {
      self.error("error: standard output cannot be written: \(error.reason)")
      exit(74)
    }
  }

  /// Writes a line to standard error; if nobody can read it, nothing is lost but the message.
  static func error(_ line: String) {
    try? write(printable(line) + "\n", to: STDERR_FILENO)
  }

  private static func write(_ text: String, to descriptor: Int32) throws {
    try Array(text.utf8).withUnsafeBytes { try OpenFile.write($0, to: descriptor) }
  }

  /// Whether somebody watches standard error.
  static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// Rewrites the last line on a terminal, cut to its width: what has run over cannot be rewritten.
  static func status(_ line: String) {
    guard isTerminal else { return }
    var size = winsize()
    let isKnown = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
    let shown = line.prefix(isKnown ? Int(size.ws_col) - 1 : 79)
    try? write("\r\u{1B}[K" + shown, to: STDERR_FILENO)
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
