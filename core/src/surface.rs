//! To come.
/// s
#[derive(Clone, Copy, Debug)]
pub enum Surface {}
/// s
#[derive(Clone, Copy, Debug)]
pub struct SurfaceCode {}
/// s
#[derive(Clone, Copy, Debug)]
pub enum UsedBy {}
