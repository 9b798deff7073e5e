package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/spf13/cobra"
)

// tailLines is what -tail shows when nothing else is said.
const tailLines = 10

// fsOptions are the flags of alloc fs.
type fsOptions struct {
	stat, machine, asJSON bool
	tail, follow          bool
	lines                 int
	bytes                 int64
}

func (e *env) allocFS() *cobra.Command {
	var o fsOptions
	c := &cobra.Command{
		Use: "fs ALLOC|JOB [PATH]", Short: "List a folder of an allocation, or print a file",
		Long: `Shows what an allocation has on its device, over the device's own link. A
folder is listed and a file is printed. The path is from the allocation's
folder: alloc/logs, alloc/data, TASK/local. Of an allocation that is gone its
logs are shown as long as the device keeps them.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 1 {
				return usageError("%s needs an allocation or a job; see: %s -help", c.CommandPath(), c.CommandPath())
			}
			if len(args) > 2 {
				return usageError("%s does not know what to do with %q; see: %s -help", c.CommandPath(), args[2], c.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			c, ids, err := e.clientAndAllocs(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			path := "/"
			if len(args) > 1 {
				path = args[1]
			}
			return e.explain(c, e.showFile(cmd.Context(), c, ids[0], path, o))
		},
	}
	c.Flags().BoolVar(&o.stat, "stat", false, "describe the file or folder instead of showing what is in it")
	c.Flags().BoolVarP(&o.machine, "machine", "H", false, "sizes in bytes and times in full, for programs")
	c.Flags().BoolVar(&o.tail, "tail", false, "only the end of a file: its last 10 lines, or what -n or -c say")
	c.Flags().IntVarP(&o.lines, "lines", "n", 0, "with -tail: so many lines")
	c.Flags().Int64VarP(&o.bytes, "bytes", "c", 0, "with -tail: so many bytes")
	c.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on printing what is written to the file")
	jsonFlag(c, &o.asJSON)
	return c
}

func (o *fsOptions) check() error {
	switch {
	case o.lines < 0 || o.bytes < 0:
		return usageError("-n and -c take a number of 1 or more")
	case o.lines > 0 && o.bytes > 0:
		return usageError("give either -n or -c")
	case (o.lines > 0 || o.bytes > 0) && !o.tail:
		return usageError("-n and -c say how much of the end is shown; give -tail with them")
	case o.stat && (o.tail || o.follow):
		return usageError("-stat describes a file, and -tail and -f print one; give either")
	case o.asJSON && (o.tail || o.follow):
		return usageError("-json is for lists and -stat; a file is printed as it is")
	}
	return nil
}

// showFile lists a folder or prints a file. Which of them a path is, the device knows; flags that are for files only spare the
// question.
func (e *env) showFile(ctx context.Context, c *api.Client, id fleet.AllocID, path string, o fsOptions) error {
	if !o.tail && !o.follow {
		info, err := c.StatFile(ctx, id, path)
		switch {
		case err != nil:
			return err
		case o.stat && o.asJSON:
			return e.printJSON(info)
		case o.stat:
			return e.printFiles([]fleet.FileInfo{*info}, o, true)
		case info.IsDir:
			return e.listFolder(ctx, c, id, path, o)
		case o.asJSON:
			return usageError("-json is for lists and -stat; a file is printed as it is")
		}
	}
	read := api.FileOptions{Follow: o.follow}
	switch {
	case o.bytes > 0:
		read.Origin, read.Offset = api.OriginEnd, o.bytes
	case o.lines > 0:
		read.TailLines = o.lines
	case o.tail:
		read.TailLines = tailLines
	}
	r, err := c.ReadFile(ctx, id, path, read)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(e.Out, r); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (e *env) listFolder(ctx context.Context, c *api.Client, id fleet.AllocID, path string, o fsOptions) error {
	files, more, err := c.ListFiles(ctx, id, path)
	if err != nil {
		return err
	}
	if o.asJSON {
		return e.printJSON(files)
	}
	if err := e.printFiles(files, o, false); err != nil {
		return err
	}
	if more {
		return fmt.Errorf("the folder has more entries than these %d, which is as many as a device tells", len(files))
	}
	return nil
}

func (e *env) printFiles(files []fleet.FileInfo, o fsOptions, kind bool) error {
	head := []string{"Mode", "Size", "Modified Time"}
	if kind {
		head = append(head, "Content Type")
	}
	t := newTable(e.Out, append(head, "Name")...)
	for _, f := range files {
		bytes, at := size(f.Size), f.ModTime.Format(time.RFC3339)
		if o.machine {
			bytes, at = strconv.FormatInt(f.Size, 10), f.ModTime.Format(time.RFC3339Nano)
		}
		name := printable(f.Name)
		if f.IsDir && f.Name != "/" {
			name += "/"
		}
		row := []any{f.FileMode, bytes, at}
		if kind {
			row = append(row, f.ContentType)
		}
		t.row(append(row, name)...)
	}
	return t.flush()
}
