// Package config holds the schema of each driver's config block.
//
// The one idea: what may stand in a task's config is decided in one place that the job file's parser, the CLI, the server
// and the driver on the device all ask, so that a wrong config is refused before anything is registered and never surprises
// on the device. The package is pure: it opens no file and asks no network.
//
// Decoding is strict. An unknown key is an error with a suggestion; a wrong type names its path and both types. JSON keys
// are the names written in job files.
package config
