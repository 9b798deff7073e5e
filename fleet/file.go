package fleet

import "time"

// FileInfo is one file or folder of an allocation, as its device sees it.
type FileInfo struct {
	Name        string // its last part; never a path
	IsDir       bool
	Size        int64  // bytes
	FileMode    string // as ls -l has it: "-rw-r--r--"
	ModTime     time.Time
	ContentType string `json:",omitempty"` // of a regular file, guessed from how it begins; told when one file is asked about
}
