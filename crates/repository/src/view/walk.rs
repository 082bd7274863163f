//! Walking through all files, one directory in memory for each level.

use std::sync::Arc;

use crate::{
    error::Result,
    path,
    repository::Inner,
    tree::{Node, Tree},
};

/// A walk in progress. See [`View::walk`](crate::View::walk).
pub struct Walk {
    inner: Arc<Inner>,
    /// From the outermost directory to the innermost.
    open: Vec<Level>,
}

struct Level {
    path: String,
    directory: Arc<Tree>,
    next: usize,
}

/// What a walk comes by.
#[derive(Clone, Debug)]
pub struct Walked {
    /// From the view's root.
    pub path: String,
    /// What is there.
    pub node: Node,
}

impl Walk {
    pub(crate) fn new(inner: Arc<Inner>, path: &str, directory: Arc<Tree>) -> Self {
        let path = path.trim_matches('/').to_owned();
        Self {
            inner,
            open: vec![Level {
                path,
                directory,
                next: 0,
            }],
        }
    }

    /// The next file or directory; nothing at the end. After an error, which a damaged directory gives, the walk goes on behind it.
    pub async fn next(&mut self) -> Result<Option<Walked>> {
        while let Some(level) = self.open.last_mut() {
            let Some(node) = level.directory.nodes.get(level.next) else {
                self.open.pop();
                continue;
            };
            level.next += 1;
            let walked = Walked {
                path: path::join(&level.path, &node.name()),
                node: node.clone(),
            };
            if let Some(subtree) = node.subtree() {
                let directory = self.inner.tree(subtree).await?;
                self.open.push(Level {
                    path: walked.path.clone(),
                    directory,
                    next: 0,
                });
            }
            return Ok(Some(walked));
        }
        Ok(None)
    }
}
