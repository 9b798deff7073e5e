name = "x"
jb "a" {}
group "g" {}
