// Package compat shows that a program written for the Nomad v1 HTTP API works
// with Dunlin: its test drives a region with the official Go client.
//
// It is a module of its own, so that who uses Dunlin does not inherit the
// client's dependencies. It talks HTTP only and imports nothing of Dunlin's;
// the agent it talks to is built from the repository around it.
package compat
