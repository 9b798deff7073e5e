job "app" {
  driver = "wasm"
  config {
    module = "./app.wasm"
  }
  resources {
    cpu    = 50
    memory = 32
  }
}
