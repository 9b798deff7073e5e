# One probe on every device that may run plain programs: those that are there, and
# those that come later. A device that is away keeps its own and goes on with it.
job "probe" {
  type = "system"

  group "probe" {
    restart {
      mode = "delay"
    }

    task "probe" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "while true; do uptime; sleep 60; done"]
      }
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
