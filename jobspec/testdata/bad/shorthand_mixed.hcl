job "a" {
  driver = "wasm"
  group "g" {}
}
