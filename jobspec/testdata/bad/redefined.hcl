job "a" {
  type = "batch"
  type = "service"
}
