import GLENPlatform
import GLENTensor

extension Recipe {
  /// Reads a recipe: the keys of a JSON file over those of `base`.
  ///
  /// Two keys are no values: `preset` names another base, `about` says what the file is for.
  ///
  /// - Throws: `TrainingError.recipe` for a file that cannot be read, an unknown key, or a value of
  ///   the wrong type or out of range.
  public init(contentsOf url: URL, over base: Recipe) throws(TrainingError) {
    do {
      self = try Self.merged(
        JSONDecoder().decode(JSONValue.self, from: Self.json(contentsOf: url)), over: base)
    } catch TrainingError.recipe(_, let reason) {
      throw .recipe(path: url.path, reason: reason)
    } catch let error as TrainingError {
      throw error
    } catch {
      throw .recipe(path: url.path, reason: "is not a recipe: \(error.reason)")
    }
    try validate(path: url.path)
  }

  /// A recipe's file, in which no object names a key twice: one of the two would be passed over.
  static func json(contentsOf url: URL) throws(TrainingError) -> Data {
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw .fileNotFound(path: url.path, expected: "a recipe in JSON")
    }
    let data: Data
    do throws(TensorError) {
      let file = try MappedFile(url)
      data = withExtendedLifetime(file) { Data(file.bytes) }
    } catch {
      guard case .file(_, let reason) = error else {
        throw .recipe(path: url.path, reason: "\(error)")
      }
      throw .unreadableFile(path: url.path, reason: reason)
    }
    if let value = try? JSONDecoder().decode(JSONValue.self, from: data),
      value.keyCount != JSONKeys.count(in: data)
    {
      throw .recipe(path: url.path, reason: "names a key twice")
    }
    return data
  }

  /// Changes values by assignments such as `keywords.optimization.steps=4000`, one after the other.
  ///
  /// Ranges are checked at the end, so that values that go together may come in any order.
  ///
  /// - Throws: `TrainingError.recipe` for what is no assignment, an unknown key, or a value of the
  ///   wrong type or out of range; nothing is changed then.
  public mutating func set(_ assignments: [String]) throws(TrainingError) {
    var changed = self
    for assignment in assignments { changed = try changed.assigning(assignment) }
    try changed.validate(path: assignments.joined(separator: " "))
    self = changed
  }

  private func assigning(_ assignment: String) throws(TrainingError) -> Recipe {
    let parts = assignment.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty else {
      throw .recipe(
        path: assignment, reason: "is no assignment; expected key=value, as in identifierLength=7")
    }
    guard parts[0] != "about" else {
      throw .recipe(
        path: assignment, reason: "says what a recipe's file is for and is no value; leave it out")
    }
    guard parts[0] != "preset" else {
      throw .recipe(
        path: assignment,
        reason: "a preset would undo what was set before it; name it in the recipe's file, or use "
          + "--preset")
    }
    let text = Data(parts[1].utf8)
    let literal = try? JSONDecoder().decode(JSONValue.self, from: text)
    guard literal.map({ $0.keyCount == JSONKeys.count(in: text) }) ?? true else {
      throw .recipe(path: assignment, reason: "names a key twice")
    }
    var change = literal ?? .string(String(parts[1]))
    for key in parts[0].split(separator: ".", omittingEmptySubsequences: false).reversed() {
      change = .object([String(key): change])
    }
    do {
      return try Self.merged(change, over: self)
    } catch TrainingError.recipe(_, let reason) {
      throw .recipe(path: assignment, reason: reason)
    } catch {
      throw .recipe(path: assignment, reason: "is not a recipe: \(error.reason)")
    }
  }

  /// What has changed since another recipe of the same kind, both as JSON, as in
  /// `keywords.optimization.steps is 8000 and was 4000`.
  static func differences(from earlier: Data, to now: Data) -> [String] {
    func leaves(_ data: Data) -> [String: JSONValue] {
      let value = try? JSONDecoder().decode(JSONValue.self, from: data)
      return Dictionary(
        (value?.leaves ?? []).map { ($0.path, $0.value) }, uniquingKeysWith: { first, _ in first })
    }
    let (before, after) = (leaves(earlier), leaves(now))
    return Set(before.keys).union(after.keys).sorted().compactMap { path in
      let (old, new) = (before[path] ?? .null, after[path] ?? .null)
      return old == new ? nil : "\(path) is \(new) and was \(old)"
    }
  }

  private static func merged(_ changes: JSONValue, over base: Recipe) throws -> Recipe {
    guard case .object(var keys) = changes else {
      throw TrainingError.recipe(path: "recipe", reason: "expected an object with a recipe's keys")
    }
    var base = base
    if let value = keys.removeValue(forKey: "preset") {
      guard case .string(let name) = value else {
        throw TrainingError.recipe(
          path: "recipe", reason: "preset: expected a name; known: paper, small")
      }
      guard let preset = Self.preset(name) else {
        throw TrainingError.recipe(
          path: "recipe", reason: "no preset is called \(name); known: paper, small")
      }
      base = preset
    }
    keys["about"] = nil
    return try overlaid(.object(keys), over: base)
  }

  /// The keys of a JSON object over those of a recipe of any kind.
  static func merged<Value: Codable>(_ data: Data, over base: Value) throws -> Value {
    let changes = try JSONDecoder().decode(JSONValue.self, from: data)
    guard case .object(var keys) = changes else {
      throw TrainingError.recipe(path: "recipe", reason: "expected an object with a recipe's keys")
    }
    keys["about"] = nil
    return try overlaid(.object(keys), over: base)
  }

  /// The values that have names.
  private static let choices: [Substring: [String]] = [
    "schedule": LearningRateSchedule.Shape.allCases.map(\.rawValue),
    "bestBy": ValidationMeasure.allCases.map(\.rawValue),
  ]

  private static func overlaid<Value: Codable>(
    _ changes: JSONValue, over base: Value
  ) throws -> Value {
    let encoded = try JSONEncoder().encode(base)
    let values = try JSONDecoder().decode(JSONValue.self, from: encoded)
    func recipe(_ changes: JSONValue) throws -> Value {
      let merged = try values.overlaid(with: changes, path: "")
      return try JSONDecoder().decode(Value.self, from: JSONEncoder().encode(merged))
    }
    do {
      return try recipe(changes)
    } catch is DecodingError {
      // The decoder does not always say where; the values are tried one by one.
      for (path, _, change) in changes.leaves where (try? recipe(change)) == nil {
        let names = choices[path.split(separator: ".").last ?? ""]?.joined(separator: ", ")
        throw TrainingError.recipe(
          path: "recipe",
          reason: "\(path): "
            + (names.map { "expected one of \($0)" }
              ?? "a recipe's value of that name is of another kind, or never as large"))
      }
      throw TrainingError.recipe(path: "recipe", reason: "is not a recipe")
    }
  }
}
