package tlsnet

import "syscall"

// errnoAborted is WSAECONNABORTED: what Windows says of a connection that the peer or the system broke off.
const errnoAborted = syscall.WSAECONNABORTED
