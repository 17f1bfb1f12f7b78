import Foundation
import GLENIndex
import Hummingbird

/// Serves an index over HTTP: searches it, and adds and removes documents meanwhile.
///
///     http-server INDEX [PORT] [MILLISECONDS]     port 8080, and a second for each search
@main
struct HTTPServer {
  /// The largest body of a request.
  static let bodyLimit = 4 << 20

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard (1...3).contains(arguments.count),
      let port = Int(arguments.count > 1 ? arguments[1] : "8080"),
      let limit = Int(arguments.count > 2 ? arguments[2] : "1000")
    else {
      print("usage: http-server INDEX [PORT] [MILLISECONDS]")
      exit(64)
    }
    do {
      let index = try await ServedIndex(URL(fileURLWithPath: arguments[0]))
      let application = Application(
        router: router(index, timeLimit: .milliseconds(limit)),
        configuration: .init(address: .hostname("127.0.0.1", port: port)),
        onServerRunning: { channel in
          try? FileHandle.standardOutput.write(
            contentsOf: Data("listening on port \(channel.localAddress?.port ?? port)\n".utf8))
        })
      // Until SIGTERM or SIGINT; requests that have begun are answered.
      try await application.runService()
    } catch {
      print("http-server: \(error)")
      exit(1)
    }
  }

  static func router(
    _ index: ServedIndex, timeLimit: Duration
  ) -> Router<BasicRequestContext> {
    let router = Router()
    let metrics = Metrics()
    router.add(middleware: Watch(metrics: metrics))
    router.get("health") { _, _ in
      let snapshot = await index.retriever.snapshot
      return Health(documents: snapshot.livingCount, commit: snapshot.generation)
    }
    router.get("metrics") { _, _ in
      metrics.text(documents: await index.retriever.snapshot.livingCount)
    }
    router.get("search") { request, context in
      // Unlike `uri.queryParameters`, this reads a plus as the space that forms write so.
      let parameters = try request.uri.decodeQuery(as: [String: String].self, context: context)
      guard let question = parameters["q"] else {
        throw HTTPError(.badRequest, message: "search: there is no question; expected ?q=")
      }
      let limit = Int(parameters["limit"] ?? "10") ?? 0
      guard (1...1000).contains(limit) else {
        throw HTTPError(.badRequest, message: "search: expected a limit from 1 to 1000")
      }
      let hits = try await index.retriever.search(
        question, limit: limit, options: SearchOptions(timeLimit: timeLimit))
      return Answer(query: question, hits: hits)
    }
    router.post("documents") { request, _ in
      let body = try await request.body.collect(upTo: bodyLimit)
      let documents = try Line.documents(body.readableBytesView)
      return try await index.change { try $0.update(documents) }
    }
    router.delete("documents/:id") { _, context in
      let name = try context.parameters.require("id")
      let id = name.removingPercentEncoding ?? name
      return try await index.change { writer in
        guard writer.contains(id: id) else {
          throw HTTPError(.notFound, message: "remove: there is no document \"\(id)\"")
        }
        try writer.remove(ids: [id])
      }
    }
    return router
  }
}

/// What `GET /health` says.
struct Health: ResponseEncodable {
  var documents: Int
  var commit: Int
}

/// What `GET /search` says: the hits as `glen search --json` prints them.
struct Answer: ResponseEncodable {
  var query: String
  var hits: [SearchHit]
}

/// A line of `POST /documents`, as in a `corpus.jsonl`.
struct Line: Decodable {
  var _id: String
  var title: String?
  var text: String
  var metadata: [String: MetadataValue]?

  /// The documents of a body of lines; blank ones are passed over.
  static func documents(_ body: some Collection<UInt8>) throws -> [Document] {
    let decoder = JSONDecoder()
    var documents: [Document] = []
    for (number, bytes) in body.split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false
    ).enumerated() where bytes.contains(where: { $0 > 0x20 }) {
      do {
        let line = try decoder.decode(Line.self, from: Data(bytes))
        documents.append(
          Document(
            id: line._id, title: line.title ?? "", text: line.text, metadata: line.metadata ?? [:]))
      } catch {
        throw HTTPError(
          .badRequest,
          message: "add: line \(number + 1) is no document; expected {\"_id\": ..., \"text\": ...}")
      }
    }
    return documents
  }
}
