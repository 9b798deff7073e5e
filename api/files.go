package api

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/dunlin-edge/dunlin/fleet"
)

// MoreHeader says, with any value, that a folder has more entries than the list in the answer.
const MoreHeader = "X-Dunlin-More"

// What a frame of a followed file says in FileEvent.
const (
	FileTruncated = "file truncated" // or replaced; what follows is from its beginning
	FileDeleted   = "file deleted"
)

// ListFiles lists a folder of an allocation by name. The path is from the allocation's folder; empty: that folder. more says that
// the folder has more entries than are listed.
func (c *Client) ListFiles(ctx context.Context, id fleet.AllocID, path string) (files []fleet.FileInfo, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	res, err := c.send(ctx, call{method: http.MethodGet, path: "/client/fs/ls/" + segment(id), query: url.Values{"path": {path}}})
	if err != nil {
		return nil, false, err
	}
	defer res.Body.Close()
	return files, res.Header.Get(MoreHeader) != "", decode(res.Body, "/client/fs/ls", &files)
}

// StatFile describes one file or folder of an allocation.
func (c *Client) StatFile(ctx context.Context, id fleet.AllocID, path string) (info *fleet.FileInfo, err error) {
	_, err = c.read(ctx, "/client/fs/stat/"+segment(id), nil, url.Values{"path": {path}}, &info)
	return info, err
}

// FileOptions say which part of a file is wanted.
type FileOptions struct {
	Origin    string // OriginStart (also when empty) or OriginEnd
	Offset    int64  // bytes from Origin
	TailLines int    // not 0: the last lines instead of Origin and Offset
	Follow    bool   // go on with what is written
}

// ReadFile opens a file of an allocation. The reader ends with the file, or, when following, with ctx; it gives an error when the
// file or its device went on the way. The caller closes it.
func (c *Client) ReadFile(ctx context.Context, id fleet.AllocID, path string, o FileOptions) (io.ReadCloser, error) {
	v := url.Values{"path": {path}, "plain": {"true"}, "follow": {strconv.FormatBool(o.Follow)}}
	if o.Origin != "" {
		v.Set("origin", o.Origin)
	}
	if o.Offset != 0 {
		v.Set("offset", strconv.FormatInt(o.Offset, 10))
	}
	if o.TailLines != 0 {
		v.Set("lines", strconv.Itoa(o.TailLines))
	}
	res, err := c.send(ctx, call{method: http.MethodGet, path: "/client/fs/stream/" + segment(id), query: v})
	if err != nil {
		return nil, err
	}
	return &logReader{res}, nil
}
