job "one" {
  type   = "batch"
  driver = "wasm"
  count  = 2
  config { module = "sha256:00" }
  resources {
    memory = 16
  }
  kill_timeout = "1s"
  restart {
    attempts = 0
  }
  reschedule {
    attempts = 0
  }
  constraint {
    attribute = "${attr.os.name}"
    regexp    = "^(debian|alpine)$"
  }
  meta {
    a = 1
  }
  logs {
    max_files = 2
  }
}
