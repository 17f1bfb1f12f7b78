import Foundation
import GLENIndex
import Hummingbird

/// An index that any number of requests search while one after the other changes it.
actor ServedIndex {
  /// What the folder held after the last change; searches go on with the one that they began with.
  private(set) var retriever: Retriever

  private let writer: IndexWriter
  // The model's work would block the threads of Swift's tasks.
  private let changes = DispatchQueue(label: "changes")

  init(_ url: URL) async throws {
    retriever = try await Retriever(opening: url)
    writer = try IndexWriter(opening: url)
  }

  /// Makes a change, commits it, and shows it to the searches to come.
  func change(_ body: @escaping @Sendable (IndexWriter) throws -> Void) async throws -> Health {
    try await withCheckedThrowingContinuation { continuation in
      changes.async { [writer] in
        continuation.resume(
          with: Result {
            do {
              try body(writer)
              try writer.commit()
            } catch {
              try? writer.discardChanges()
              throw error
            }
          })
      }
    }
    // Another change may have ended meanwhile, and have shown more.
    if let newer = try await retriever.reopenedIfChanged(),
      newer.snapshot.generation > retriever.snapshot.generation
    {
      retriever = newer
    }
    return Health(
      documents: retriever.snapshot.livingCount, commit: retriever.snapshot.generation)
  }
}

/// Gives errors their status and a JSON text, and counts every answer.
struct Watch<Context: RequestContext>: RouterMiddleware {
  let metrics: Metrics

  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    let begin = ContinuousClock.now
    let response: Response
    do {
      response = try await next(request, context)
    } catch {
      response = try Self.explained(error).response(from: request, context: context)
    }
    metrics.count(
      path: context.endpointPath ?? "", status: response.status.code,
      seconds: (ContinuousClock.now - begin) / .seconds(1))
    return response
  }

  private static func explained(_ error: any Error) -> HTTPError {
    switch error {
    case IndexError.timedOut: HTTPError(.serviceUnavailable, message: "\(error)")
    case IndexError.invalidDocuments: HTTPError(.badRequest, message: "\(error)")
    case let error as HTTPError where error.body != nil: error
    case let error as any HTTPResponseError:
      HTTPError(error.status, message: error.status.reasonPhrase)
    default: HTTPError(.internalServerError, message: "\(error)")
    }
  }
}
