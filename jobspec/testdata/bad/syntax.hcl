job "a" {
  type = 
  group "g {
