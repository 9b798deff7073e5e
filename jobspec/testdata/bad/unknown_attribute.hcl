job "a" {
  group "g" {
    cuont = 1
    task "t" {
      driver = "wasm"
      image = "x"
      resources {
        memry = 5
      }
      priority = 3
      zzzzzzz = 1
    }
    resorces {}
    driver = "wasm"
  }
  config {}
}
