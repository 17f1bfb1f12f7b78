import Foundation
import GLENIndex
import Testing

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// The built server.
private enum ServerProgram {
  static let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../.build/http-server/release/http-server").standardized

  static var isBuilt: Bool { FileManager.default.isExecutableFile(atPath: url.path) }
}

/// `Examples/http-server`, a package of its own, run on a toy index and asked over the network.
@Suite(
  "The HTTP server",
  .enabled(
    if: ServerProgram.isBuilt && CommandLineTool.isBuilt,
    "Examples/http-server is not built; .ci/run builds it where its packages can be had"))
struct HTTPServerTests {
  private struct Answer: Decodable {
    var hits: [SearchHit]
  }

  private struct Failure: Decodable {
    struct Message: Decodable {
      var message: String
    }
    var error: Message
  }

  /// A server that runs until it is told to end.
  private struct Server {
    var running: CommandLineTool.Running
    var port: Int

    /// Starts one and waits until it listens.
    init(_ index: String, milliseconds: Int = 10_000) async throws {
      running = try CommandLineTool.launch(
        ServerProgram.url, [index, "0", String(milliseconds)])
      var port: Int?
      for _ in 0..<500 where port == nil && running.process.isRunning {
        try await Task.sleep(for: .milliseconds(20))
        let text = try String(contentsOf: running.output, encoding: .utf8)
        guard text.hasSuffix("\n") else { continue }
        port = text.split(separator: " ").last.flatMap { Int($0.dropLast()) }
      }
      self.port = try #require(port, "\(running.errorSoFar())")
    }

    /// The status and the body of the answer to a request.
    func ask(
      _ path: String, _ method: String = "GET", body: String? = nil
    ) async throws -> (status: Int, body: Data) {
      var request = URLRequest(
        url: try #require(URL(string: "http://127.0.0.1:\(port)\(path)")), timeoutInterval: 30)
      request.httpMethod = method
      request.httpBody = body.map { Data($0.utf8) }
      let (data, response) = try await URLSession.shared.data(for: request)
      return (try #require(response as? HTTPURLResponse).statusCode, data)
    }

    func ids(_ question: String) async throws -> [String] {
      let (status, body) = try await ask("/search?q=\(question)&limit=100")
      #expect(status == 200)
      return try JSONDecoder().decode(Answer.self, from: body).hits.map(\.id)
    }

    /// Ends it as a service manager does; it must end well.
    func end() throws {
      running.process.terminate()
      let outcome = try CommandLineTool.finish(running)
      #expect(outcome.status == 0 && !outcome.isSignal, "\(outcome.error)")
    }
  }

  @Test func questionsAreAnsweredWhileDocumentsCome() async throws {
    let project = try ToyProject.copy("index")
    let server = try await Server(project.path("index"))
    let expected = try CommandLineTool.run(
      "search", project.path("index"), "what lives in hives", "--top", "3", "--json")
    for question in ["what+lives+in+hives", "what%20lives%20in%20hives"] {
      let answer = try await server.ask("/search?q=\(question)&limit=3")
      #expect(
        try JSONDecoder().decode(Answer.self, from: answer.body).hits
          == JSONDecoder().decode(Answer.self, from: Data(expected.output.utf8)).hits,
        "\(String(decoding: answer.body, as: UTF8.self))\n\(expected.output)")
    }

    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<4 {
        group.addTask {
          let lines = (0..<5).map {
            "{\"_id\": \"new \(number)-\($0)\", \"text\": \"moths\", \"metadata\": {\"n\": 1}}\n"
          }
          let (status, _) = try await server.ask("/documents", "POST", body: lines.joined())
          #expect(status == 200)
        }
        group.addTask {
          for _ in 0..<10 {
            // Of a commit all documents are there, or none.
            let ids = try await server.ids("moths")
            #expect(ids.count % 5 == 0 && ids.count >= 30 && Set(ids).count == ids.count)
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try await server.ids("moths").count == 50)
    #expect(try await server.ask("/documents/new%200-1", "DELETE").status == 200)
    let ids = try await server.ids("moths")
    #expect(ids.count == 49 && !ids.contains("new 0-1") && ids.contains("new 0-2"))

    let health = try await server.ask("/health")
    #expect(health.status == 200)
    #expect(
      try JSONDecoder().decode([String: Int].self, from: health.body)
        == ["documents": 49, "commit": 6])
    let metrics = String(decoding: try await server.ask("/metrics").body, as: UTF8.self)
    for line in [
      "glen_requests_total{path=\"/documents\",status=\"200\"} 4",
      "glen_requests_total{path=\"/search\",status=\"200\"} 44",
      "glen_request_seconds_bucket{le=\"+Inf\"} 50", "glen_request_seconds_count 50",
      "glen_documents 49",
    ] {
      #expect(metrics.split(separator: "\n").contains { $0 == line }, "\(line)\n\(metrics)")
    }
    try server.end()
    #expect(try CommandLineTool.run("verify", project.path("index")).status == 0)
  }

  @Test func mistakesHaveAStatusAndAReason() async throws {
    let project = try ToyProject.copy("index")
    let server = try await Server(project.path("index"))
    let good = "{\"_id\": \"a\", \"text\": \"b\"}\n"
    for (path, method, body, status, words) in [
      ("/search", "GET", nil, 400, "?q="), ("/search?q=a&limit=0", "GET", nil, 400, "limit"),
      ("/search?q=a&limit=many", "GET", nil, 400, "limit"), ("/nothing", "GET", nil, 404, "Not"),
      ("/documents", "POST", good + "{\"text\": \"no id\"}", 400, "line 2"),
      ("/documents", "POST", good + good, 400, "\"a\""),
      ("/documents", "POST", "{\"_id\": \"a\\tb\", \"text\": \"c\"}", 400, "control character"),
      ("/documents", "POST", String(repeating: " ", count: 5 << 20), 413, "Too Large"),
      ("/documents/none", "DELETE", nil, 404, "\"none\""),
    ] as [(String, String, String?, Int, String)] {
      let answer = try await server.ask(path, method, body: body)
      #expect(answer.status == status, "\(path)")
      let failure = try? JSONDecoder().decode(Failure.self, from: answer.body)
      #expect(
        failure?.error.message.contains(words) == true,
        "\(path): \(String(decoding: answer.body, as: UTF8.self))")
    }
    #expect(try await server.ids("a").count == 30)
    try server.end()
  }

  @Test func lateAnswersAreUnavailable() async throws {
    let server = try await Server(try ToyProject.folder().path("index"), milliseconds: 0)
    #expect(try await server.ask("/search?q=bees").status == 503)
    #expect(try await server.ask("/health").status == 200)
    try server.end()
  }

  @Test func anIndexThatIsNotThereIsSaid() throws {
    let outcome = try CommandLineTool.finish(CommandLineTool.launch(ServerProgram.url, ["/none"]))
    #expect(outcome.status == 1 && outcome.output.contains("/none"))
    #expect(try CommandLineTool.finish(CommandLineTool.launch(ServerProgram.url, [])).status == 64)
  }
}
