job "hello" {
  driver = "wasm"
  config {
    module = "./hello.wasm"
  }
  resources {
    cpu    = 50
    memory = 32
  }
}
