//go:build !unix

package engine

import "errors"

func reserve(int) ([]byte, error) { return nil, errors.ErrUnsupported }
func commit([]byte) error         { return errors.ErrUnsupported }
func release([]byte)              {}
