job "a" {
  priority    = "high"
  type        = 5
  datacenters = "dc1"
  region      = ["x"]
  meta        = { a = [1] }
  group "g" {
    count = 1.5
    restart {
      interval = 30
      delay    = "30"
      mode     = true
      attempts = 99999999999999999999
    }
    task "t" {
      driver       = "wasm"
      kill_timeout = "soon"
      env          = "x"
      resources    = { cpu = 5 }
      resources {
        cpu = null
      }
    }
    task "u" {
      env {
        A = []
        b {}
      }
    }
    count {}
  }
  datacenters {}
}
