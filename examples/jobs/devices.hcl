# One reader for each serial port. Nobody else is given the port that it holds; a third on a device with two ports waits and
# says who holds them. Devices are described in the agent's configuration: client { device "usb/serial/ftdi" { ids = [...] } }.
job "meters" {
  group "read" {
    count = 2

    task "reader" {
      driver = "raw_exec"

      config {
        command = "/bin/cat"
        args    = ["${DUNLIN_DEVICE_SERIAL}"]
      }

      resources {
        cpu    = 50
        memory = 16

        device "serial" {
          count = 1

          affinity {
            attribute = "${device.vendor}"
            value     = "usb"
          }
        }
      }
    }
  }
}
