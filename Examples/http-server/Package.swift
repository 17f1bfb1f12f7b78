// swift-tools-version: 6.1
import PackageDescription

let package = Package(
  name: "http-server",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(name: "GLEN", path: "../.."),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
  ],
  targets: [
    .executableTarget(
      name: "http-server",
      dependencies: [
        .product(name: "GLENIndex", package: "GLEN"),
        .product(name: "Hummingbird", package: "hummingbird"),
      ],
      path: "Sources")
  ]
)
