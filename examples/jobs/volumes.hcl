# A folder of the device, a place on its disk, and a limit above what is reserved.
#
# Devices that have the folder offer it in their agent's configuration:
#
#     client {
#       host_volume "certs" {
#         path      = "/opt/certs"
#         read_only = true
#       }
#     }
#
# Others are not asked: dunlin explain kiosk says which those are.
job "kiosk" {
  group "web" {
    volume "certs" {
      type      = "host"
      source    = "certs"
      read_only = true
    }

    ephemeral_disk {
      size = 300 # MiB; placed where that much is free
    }

    task "serve" {
      driver = "wasm"
      config {
        module = "./serve.wasm"
      }

      # The guest finds the folder at /certs, cannot write to it, and cannot leave it.
      volume_mount {
        volume      = "certs"
        destination = "/certs"
        read_only   = true
      }

      resources {
        cpu        = 100
        memory     = 32 # MiB, reserved
        memory_max = 64 # MiB, the limit where the region lets tasks exceed what they reserve
      }
    }
  }
}
