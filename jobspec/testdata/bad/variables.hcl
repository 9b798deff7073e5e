variable "a" {}
variable "b" {
  type    = number
  default = "many"
}
variable "c" {
  tipe = string
}
variable "a" { default = 1 }
variable { }
job "x" { type = var.a }
