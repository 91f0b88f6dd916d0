//! `gatefold import`: from what people have to a data set. All pictures and audio files are made here by code.

mod audio;
mod batches;
mod cleaning;
mod common;
mod folders;
mod killed;
mod library;
mod program;
mod remains;
mod series;
mod tables;
mod tags;
