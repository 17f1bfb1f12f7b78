import Foundation
import GLENIndex

/// Changes an index while others search it: adds a document, removes it again, and tidies up.
///
///     swift run -c release add-and-remove Demo/DemoCorpus/index
@main
struct AddAndRemove {
  static let moth = Document(
    id: "moth", title: "How moths find each other", text: "Male moths follow a scent for miles.",
    metadata: ["year": 2025])

  static func main() async {
    guard CommandLine.arguments.count == 2 else {
      print("usage: add-and-remove INDEX")
      exit(64)
    }
    do {
      try await change(URL(fileURLWithPath: CommandLine.arguments[1]))
    } catch {
      print("add-and-remove: \(error)")
      exit(1)
    }
  }

  static func change(_ folder: URL) async throws {
    let before = try await Retriever(opening: folder)
    // Somebody who asks all the time, and must never notice.
    let reader = Task {
      var answers = 0
      // Cancelled, a search throws.
      while (try? await before.search("Who guards the hive?")) != nil { answers += 1 }
      return answers
    }

    let writer = try IndexWriter(opening: folder)
    try writer.update([moth])
    try writer.commit()
    // The old retriever keeps its answers; the new one shares its model.
    let after = try await before.reopenedIfChanged() ?? before
    print("added: \(before.snapshot.livingCount) -> \(after.snapshot.livingCount) documents")
    let probability = try await after.explain(moth.id, for: moth.text).hit.probability ?? 0
    print("P(\(moth.id)) = \(probability)")

    try writer.remove(ids: [moth.id])
    try writer.compact()
    let end = try await after.reopenedIfChanged() ?? after
    print("removed: \(after.snapshot.livingCount) -> \(end.snapshot.livingCount) documents")

    reader.cancel()
    print("\(await reader.value) searches meanwhile")
  }
}
