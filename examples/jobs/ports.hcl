# Two web servers. Each holds port 8080 of its device alone, so they land on two devices; a third would wait and say who
# holds the port. The port for figures is any that is free; the task finds the number in its environment.
job "web" {
  group "web" {
    count = 2

    network {
      port "http" {
        static = 8080
      }
      port "metrics" {}
    }

    task "server" {
      driver = "raw_exec"

      config {
        command = "/usr/bin/python3"
        args    = ["-m", "http.server", "${NOMAD_PORT_http}"]
      }

      env {
        METRICS_ADDR = "${NOMAD_ADDR_metrics}"
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
