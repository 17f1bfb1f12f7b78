import GLENPlatform

extension IndexError: CustomStringConvertible {
  /// One line for people: what was done, what is wrong with it, and what to do.
  ///
  /// - Complexity: O(length of the text).
  public var description: String {
    switch self {
    case .invalidScores(let text), .invalidIdentifiers(let text), .invalidDocuments(let text),
      .invalidSearch(let text):
      return text
    case .timedOut(let limit):
      return "search: there was no answer in time; expected one within \(limit), got none; allow "
        + "more time, or answer fewer callers at once"
    case .damagedFile(let path, let problem):
      return "open index: \(path) is damaged: \(problem); restore the folder or build it again"
    case .replacedMeanwhile(let path):
      return
        "change index: \(path) was replaced meanwhile; expected the index that was opened, got "
        + "that of another model; discard the changes and make them again"
    case .unsupportedVersion(let path, let found, let supported):
      return "open index: \(path) has another format version; expected \(supported), got \(found); "
        + "build the index again with this release, or read it with the release that wrote it"
    case .foreignFolder(let path, let name):
      return "save index: \(path) holds something else; expected a folder that is absent, empty, "
        + "or an index, got one with \(name); name another folder"
    case .fileSystem(_, let path, let code)
    where (code == ENOENT || code == ENOTDIR) && path.hasSuffix("/" + IndexManifest.fileName):
      let got = Self.text(ofCode: code)
      return "open index: there is none; expected \(path), got \"\(got)\"; check the path, or make "
        + "an index there first (`glen index`, or Retriever.save)"
    case .fileSystem(Self.confirmation, let path, let code):
      return
        "\(Self.confirmation): \(path) has its new state, but the disk did not confirm it: expected "
        + "success, got \"\(Self.text(ofCode: code))\" (errno \(code)); do nothing again, and check the disk"
    case .fileSystem(let operation, let path, let code):
      return "\(operation): \(path): expected success, got \"\(Self.text(ofCode: code))\" "
        + "(errno \(code)); check the path, its permissions, and the space left on the disk"
    }
  }

  /// The operation that fails where everything is done and the disk does not confirm it.
  static let confirmation = "confirm what was written"

  private static func text(ofCode code: Int32) -> String {
    guard let text = strerror(code) else { return "unknown error" }
    return String(cString: text)
  }
}

extension IndexError: LocalizedError {
  /// What `localizedDescription` says, which apps show.
  public var errorDescription: String? { description }
}
