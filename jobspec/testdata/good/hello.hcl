job "hello" {
  driver = "wasm"
  config {
    module = "./hello.wasm"
    args   = ["one", "two"]
  }
  env {
    GREETING = "hi"
  }
}
