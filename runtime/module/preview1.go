package module

// Preview1 is the import module name of WASI snapshot preview 1, the one system interface that Dunlin offers to guests.
const Preview1 = "wasi_snapshot_preview1"

// preview1 lists every function of that interface. Those about sockets exist, but there is nothing to call them on yet.
var preview1 = map[string]bool{
	"args_get": true, "args_sizes_get": true, "clock_res_get": true, "clock_time_get": true, "environ_get": true,
	"environ_sizes_get": true, "fd_advise": true, "fd_allocate": true, "fd_close": true, "fd_datasync": true,
	"fd_fdstat_get": true, "fd_fdstat_set_flags": true, "fd_fdstat_set_rights": true, "fd_filestat_get": true,
	"fd_filestat_set_size": true, "fd_filestat_set_times": true, "fd_pread": true, "fd_prestat_dir_name": true,
	"fd_prestat_get": true, "fd_pwrite": true, "fd_read": true, "fd_readdir": true, "fd_renumber": true, "fd_seek": true,
	"fd_sync": true, "fd_tell": true, "fd_write": true, "path_create_directory": true, "path_filestat_get": true,
	"path_filestat_set_times": true, "path_link": true, "path_open": true, "path_readlink": true,
	"path_remove_directory": true, "path_rename": true, "path_symlink": true, "path_unlink_file": true, "poll_oneoff": true,
	"proc_exit": true, "proc_raise": true, "random_get": true, "sched_yield": true, "sock_accept": true, "sock_recv": true,
	"sock_send": true, "sock_shutdown": true,
}

// Preview1Functions is the number of functions that a preview1 host has to offer.
func Preview1Functions() int { return len(preview1) }
